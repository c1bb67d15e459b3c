"""`jevons calibrate` as a process, as far as it is quick, and what a running proxy tells of its energy model."""

from __future__ import annotations

import aiohttp
from jevons_process import run_jevons

from jevons.proxy.learned import ask_learned


async def test_the_metrics_of_a_running_proxy_have_every_coefficient(proxy):
    """What `jevons check` reads there is there for each upstream, all four terms of it."""
    async with aiohttp.ClientSession() as session:
        learned = await ask_learned(session, proxy.admin, None)
    assert learned is not None
    assert learned.keys() == {"chat", "thinker"}
    assert all(each.fixed_joules_per_step > 0 for each in learned.values())


def test_the_upstream_has_to_be_named(models, tmp_path):
    """Of two upstreams one has to be chosen, by a name that there is; the message lists them."""
    config = tmp_path / "config.yaml"
    config.write_text(models.config())
    for words in ((), ("--upstream", "tea")):
        done = run_jevons("calibrate", "--config", config, *words)
        assert done.returncode == 2
        assert "name one of chat, thinker" in done.stderr


def test_a_file_is_not_written_over(models, tmp_path):
    """`--write` names a new file: the configuration, or what somebody keeps, stays as it is."""
    config = tmp_path / "config.yaml"
    config.write_text(models.config())
    done = run_jevons("calibrate", "--config", config, "--upstream", "chat", "--write", config)
    assert done.returncode == 2
    assert "is not written over" in done.stderr
    assert config.read_text() == models.config()


def test_what_cannot_be_is_said_before_any_load(models, tmp_path):
    """A time too short for all stages, a server that is not there, a device that is not: exit code 1 and the reason."""
    config = tmp_path / "config.yaml"
    sound = models.config()
    for text, words, reason in (
        (sound, ("--seconds", "3"), "too short"),
        (sound.replace(models.chat.main, "http://127.0.0.1:9"), (), "no model server answers at http://127.0.0.1:9/v1"),
        (sound.replace(f"simulated:{models.gpu}", "simulated:/nowhere"), (), "nothing to calibrate with"),
    ):
        config.write_text(text)
        done = run_jevons("calibrate", "--config", config, "--upstream", "chat", *words)
        assert done.returncode == 1, done.stderr
        assert reason in done.stderr
        assert "Traceback" not in done.stderr
