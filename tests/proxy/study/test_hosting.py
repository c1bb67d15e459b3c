"""The proxy that a study measures through: its own, started for it and gone after it, or one that runs."""

import pytest
from simulated_upstream import MODEL

from jevons.proxy.errors import JevonsError
from jevons.proxy.study.hosting import hosted, linked, proxy_config
from jevons.proxy.study.study_file import parse_study

pytest_plugins = ["proxy_fixture"]

ARMS = "arms: [{name: a, model: chat}]\n"
BODY = {"model": "chat", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 5}


def upstream_yaml(upstream, gpu, **more):
    """One upstream as a study has it."""
    fields = {
        "name": "chat",
        "url": f"{upstream.url}/v1",
        "model": MODEL,
        "devices": f"[{str(f'simulated:{gpu.path}')!r}]",
        **more,
    }
    inside = ", ".join(f"{name}: {value}" for name, value in fields.items())
    return f"upstreams:\n  - {{{inside}}}\n"


async def test_a_proxy_of_ones_own(start_upstream, simulated_gpu, tmp_path, monkeypatch):
    """It serves the study's upstreams, fills in their keys itself, and is gone when the study is."""
    monkeypatch.setenv("STUDY_KEY", "k3y")
    upstream = await start_upstream(api_key="k3y")
    study = parse_study(upstream_yaml(upstream, simulated_gpu, api_key="'${STUDY_KEY}'") + ARMS, folder=tmp_path)
    async with linked(study) as link:
        assert len((await link.ask(BODY)).content) > 5
        admin = link.admin
        assert await link.models() == {"chat": MODEL}
    async with linked(parse_study(f"proxy: {{base_url: {admin}, admin: {admin}}}\n" + ARMS)) as gone:
        with pytest.raises(JevonsError, match="no jevons answers"):
            await gone.health()


async def test_a_key_file_is_sought_beside_the_study(start_upstream, simulated_gpu, tmp_path):
    """Although the proxy's configuration is elsewhere."""
    (tmp_path / "key").write_text("k3y\n")
    upstream = await start_upstream(api_key="k3y")
    study = parse_study(upstream_yaml(upstream, simulated_gpu, api_key_file="key") + ARMS, folder=tmp_path)
    async with linked(study) as link:
        assert len((await link.ask(BODY)).content) > 5


async def test_a_proxy_that_runs(start_upstream, start_proxy):
    """By its two addresses, nothing is started or ended."""
    proxy = await start_proxy(await start_upstream())
    study = parse_study(f"proxy: {{base_url: {proxy.url}, admin: {proxy.admin}, api_key: k, admin_token: t}}\n" + ARMS)
    async with linked(study) as link:
        assert len((await link.ask(BODY)).content) > 5


async def test_upstreams_that_the_proxy_refuses(tmp_path, capfd):
    """The proxy's own message tells which key is wrong, and the study ends."""
    with pytest.raises(JevonsError, match="did not start"):
        async with hosted([{"name": "x", "url": "http://h/v1", "model": "m", "colour": "red"}], tmp_path):
            pass
    assert "colour: unknown key" in capfd.readouterr().err


def test_a_study_of_thinkers_only_can_be_served():
    """`auto` means the first upstream where none answers directly."""
    assert proxy_config([{"name": "r1", "reasoning": "always"}])["default"] == "r1"
    assert "default" not in proxy_config([])
