"""`jevons study` as a command: a run that is killed and goes on, the report, comparison, power, presets."""

import asyncio
import json
import signal
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from study_samples import header, raw_study

from jevons.proxy.cli import main
from jevons.proxy.study.raw import FILE_NAME, RawWriter, read_raw

pytest_plugins = ["proxy_fixture"]

COMMAND = str(Path(sys.executable).with_name("jevons"))
STUDY = """\
proxy: {{base_url: "{main}", admin: "{admin}"}}
arms:
  - {{name: one, model: chat}}
  - {{name: two, model: chat, impose: {{mean_tokens: 20}}}}
limit: 8
max_tokens: 60
warmup_requests: 0
settle_seconds: 0
idle_seconds: 0.1
pause_seconds: 0.1
"""


def invoke(*arguments):
    """Run it in this process."""
    return CliRunner().invoke(main, ["study", *map(str, arguments)])


def write(folder, raw):
    """A folder with this study in it."""
    with RawWriter(folder) as writer:
        for line in [*raw.headers, *raw.idle, *raw.replies.values()]:
            writer.write(line)
    return folder


async def command(*arguments):
    """Run it as a process of its own."""
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(COMMAND, "study", *map(str, arguments), stdout=pipe, stderr=pipe)


async def test_killed_in_the_middle_it_goes_on(start_proxy, start_upstream, tmp_path):
    """After a kill -9 with requests in flight, --resume keeps every byte that was whole and measures only what is left."""
    proxy = await start_proxy(await start_upstream())
    (tmp_path / "study.yaml").write_text(STUDY.format(main=proxy.url, admin=proxy.admin))
    out = tmp_path / "out"
    process = await command("run", tmp_path / "study.yaml", "--out", out)
    async with asyncio.timeout(60):
        while not (out / FILE_NAME).exists() or (out / FILE_NAME).read_bytes().count(b"\n") < 6:  # noqa: ASYNC110 - it is another process
            await asyncio.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    await process.communicate()
    before = (out / FILE_NAME).read_bytes()
    whole = before[: before.rfind(b"\n") + 1]
    assert 0 < len(read_raw(out).replies) < 16

    again = await command("run", tmp_path / "study.yaml", "--out", out, "--resume", "--json")
    stdout, stderr = await again.communicate()
    assert again.returncode == 0, stderr.decode()
    found = json.loads(stdout)
    assert (found["method"], found["missing"]) == ("simulated", 0)
    assert (out / FILE_NAME).read_bytes().startswith(whole)
    replies = [line for line in (out / FILE_NAME).read_bytes().splitlines() if b'"kind":"reply"' in line]
    assert len(replies) == len(read_raw(out).replies) == 16
    assert (out / "report.html").exists()


async def test_a_run_can_be_stopped(start_proxy, start_upstream, tmp_path):
    """SIGTERM ends it with what was measured kept and a word on how to go on."""
    proxy = await start_proxy(await start_upstream())
    (tmp_path / "study.yaml").write_text(STUDY.format(main=proxy.url, admin=proxy.admin))
    process = await command("run", tmp_path / "study.yaml", "--out", tmp_path / "out")
    async with asyncio.timeout(60):
        while not (tmp_path / "out" / FILE_NAME).exists():  # noqa: ASYNC110 - likewise
            await asyncio.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, stderr = await process.communicate()
    assert process.returncode == 1
    assert b"--resume goes on" in stderr
    assert b"Traceback" not in stderr


def test_a_report_is_written_anew(tmp_path):
    """From the raw data alone, in words or as JSON."""
    folder = write(tmp_path, raw_study(9))
    done = invoke("report", folder)
    assert done.exit_code == 0
    assert "thinker over plain, 1 in flight" in done.stdout
    assert json.loads(invoke("report", folder, "--json").stdout)["name"] == "A study"
    assert (folder / "report.html").exists()


def test_two_studies_are_compared(tmp_path):
    """In words, or as JSON; what cannot be compared exits with 1."""
    first, second = write(tmp_path / "a", raw_study(9)), write(tmp_path / "b", raw_study(9, rate=1.0))
    words = invoke("compare", first, second).stdout
    assert words.startswith("method: simulated")
    assert "plain, 1 in flight, 9 prompts: energy 2.0" in words
    found = json.loads(invoke("compare", first, second, "--arms", "plain", "thinker", "--json").stdout)
    assert found["comparisons"][0]["arms"] == ["plain", "thinker"]
    other = write(tmp_path / "c", type(raw_study(1))([header(prompts_hash="z")]))
    assert invoke("compare", first, other).exit_code == 1


def test_the_number_of_prompts(tmp_path):
    """From a standard deviation or from a pilot; one of the two must be given."""
    assert invoke("power", "--ratio", 1.2, "--sd", 0.5).stdout.startswith("61 prompts see")
    pilot = write(tmp_path, raw_study(12))
    found = json.loads(invoke("power", "--ratio", 1.2, "--from", pilot, "--json").stdout)
    assert 0.1 < found["sd"] < 0.4
    assert invoke("power", "--ratio", 1.2).exit_code == 2
    assert invoke("power", "--ratio", 1, "--sd", 0.5).exit_code == 1


def test_presets_are_listed_and_shown():
    """With what each is; one can be printed and edited."""
    assert "llama-r1" in invoke("presets").stdout
    assert "qwen3-thinking" in json.loads(invoke("presets", "--json").stdout)
    assert invoke("presets", "--show", "llama-r1").stdout.startswith("# Llama-3.1-70B")
    assert invoke("presets", "--show", "nothing").exit_code == 1


@pytest.mark.parametrize(
    "arguments",
    [("run",), ("run", "x.yaml", "--preset", "llama-r1"), ("run", "x.yaml", "--resume"), ("run", "absent.yaml", "--out", "x")],
)
def test_wrong_usage_exits_with_2(arguments, tmp_path, monkeypatch):
    """Neither file nor preset, both, --resume without a folder, a file that is not there."""
    monkeypatch.chdir(tmp_path)
    assert invoke(*arguments).exit_code == 2
