"""The command line: what each verb prints, and which exit code it ends with."""

import json
import subprocess
import sys
from importlib.metadata import version

import click
import pytest
import structlog
from click.testing import CliRunner

from jevons.proxy.cli import main
from jevons.proxy.errors import ConfigError, JevonsError
from jevons.proxy.keys import parse_keys

CONFIG = """\
listen: 127.0.0.1:8801
upstreams:
  - {name: chat, url: "http://127.0.0.1:9/v1", model: small, devices: ["simulated:/nowhere"]}
  - {name: thinker, url: "http://127.0.0.1:9/v1", model: large, devices: ["simulated:/nowhere"], reasoning: always}
policies:
  - {type: rules, rules: [{name: proofs, when: {keywords: [prove]}, to: reasoning}]}
"""


@pytest.fixture(autouse=True)
def _as_before():
    """A verb sets the logging of its process up, which here is that of the tests."""
    yield
    structlog.reset_defaults()


@pytest.fixture
def run(tmp_path):
    """Run one verb; `{config}` among its arguments is a sound configuration."""
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG)

    def run(*arguments, **options):
        return CliRunner().invoke(main, [argument.format(config=config) for argument in arguments], **options)

    return run


def test_version(run):
    """`--version` is the installed one."""
    assert run("--version").output == f"jevons, version {version('jevons')}\n"


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help(run, option):
    """The help lists the verbs, each with a line; what only the demo starts is not among them."""
    done = run(option)
    assert done.exit_code == 0
    verbs = [line.split()[0] for line in done.output.partition("Commands:")[2].splitlines() if line]
    assert {"serve", "demo", "check", "explain", "keys"} <= set(verbs)
    assert "simulate" not in verbs


@pytest.mark.parametrize(
    "arguments",
    [
        ["frobnicate"],
        ["serve", "--frobnicate"],
        ["serve", "--log-level", "loud"],
        ["explain", "--config", "{config}"],
        ["explain", "Why?", "--tier", "third"],
        ["keys", "new", "--tenant", "alice"],
    ],
    ids=" ".join,
)
def test_usage(run, arguments):
    """A command line that cannot be run ends with 2 and says what is wrong."""
    done = run(*arguments)
    assert done.exit_code == 2
    assert "Error: " in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("verb", [["serve"], ["check"], ["check", "--json"], ["explain", "Why?"]], ids=" ".join)
def test_a_bad_configuration(run, tmp_path, verb):
    """Every problem is a line on standard error, and the exit code is 2."""
    bad = tmp_path / "bad.yaml"
    bad.write_text("listn: here\nupstreams: []\n")
    done = run(*verb, "--config", str(bad))
    assert (done.exit_code, done.stdout) == (2, "")
    lines = done.stderr.splitlines()
    assert [line.split(": ")[1] for line in lines] == ["listn", "upstreams"]
    assert lines[0].startswith(f"{bad}:1:1: ")


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (ConfigError(["a:1:1: b", "a:2:1: c"]), 2, "a:1:1: b\na:2:1: c\n"),
        (JevonsError("no luck"), 1, "jevons: no luck\n"),
    ],
)
def test_our_own_errors(error, code, said):
    """They become lines and an exit code; anything else is a bug and stays a traceback."""

    @click.command("fail")
    def fail():
        raise error

    main.add_command(fail)
    try:
        done = CliRunner().invoke(main, ["fail"])
    finally:
        del main.commands["fail"]
    assert (done.exit_code, done.stderr) == (code, said)


def test_check_as_json(run):
    """`check --json` is the report, and nothing else is on standard output."""
    done = run("check", "--config", "{config}", "--json")
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    parts = {"version", "config", "policies", "upstreams", "devices", "meters_not_used", "meter_problems", "carbon", "ledger"}
    assert report.keys() == parts
    assert report["config"]["listen"] == "127.0.0.1:8801"
    assert [upstream["name"] for upstream in report["upstreams"]] == ["chat", "thinker"]
    assert [upstream["up"] for upstream in report["upstreams"]] == [False, False]


def test_check_for_people(run):
    """`check` says the same in words."""
    done = run("check", "--config", "{config}")
    assert done.exit_code == 0
    assert "upstream thinker: down: " in done.stdout
    assert "policies: caller > rules" in done.stdout


def test_explain_as_json(run):
    """`explain --json` has the decision, the route as its header gives it, the candidates and every policy's word."""
    done = run("explain", "--config", "{config}", "--json", "Prove it.")
    assert done.exit_code == 0
    report = json.loads(done.stdout)
    assert report.keys() == {"decision", "route", "candidates", "words", "prompt", "error"}
    assert (report["decision"], report["route"], report["error"]) == ("reasoning", "rules:proofs;to=thinker", None)
    assert report["candidates"][0] == {"upstream": "thinker", "model": "large", "thinking": None}
    assert {word["policy"] for word in report["words"]} >= {"caller", "rules"}
    assert report["prompt"]["tokens"] > 0


@pytest.mark.parametrize(
    ("options", "upstream"),
    [([], "thinker"), (["--tier", "direct"], "chat"), (["--model", "chat"], "chat"), (["--model", "large"], "thinker")],
    ids=["alone", "tier", "name", "model"],
)
def test_explain_takes_the_callers_word(run, options, upstream):
    """A tier and a pinned model decide as they would in a request."""
    done = run("explain", "--config", "{config}", "--json", "Prove it.", *options)
    assert json.loads(done.stdout)["candidates"][0]["upstream"] == upstream


def test_explain_for_people(run):
    """`explain` says the same in words, and one that is refused ends with 1."""
    done = run("explain", "--config", "{config}", "Why?")
    assert done.exit_code == 0
    assert "goes to  chat (small)" in done.stdout
    done = run("explain", "--config", "{config}", "Why?", "--model", "gpt-7")
    assert done.exit_code == 1
    assert "gpt-7" in done.stdout


def test_a_new_key(run):
    """The key and the line for the keys file are two lines of standard output, and the one fits the other."""
    done = run("keys", "new", "--tenant", "alice", "--name", "laptop")
    assert done.exit_code == 0
    key, line = done.stdout.splitlines()
    assert parse_keys(line).identity_of(key).tenant == "alice"
    assert key not in line
    assert len(done.stderr.splitlines()) == 2


def test_a_key_for_nobody(run):
    """A tenant that is no label is refused with 2."""
    done = run("keys", "new", "--tenant", "a b", "--name", "laptop")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "'a b'" in done.stderr


def test_simulating_without_a_gpu(run):
    """The demo's model server needs the file of a GPU that is there."""
    done = run("simulate", "--gpu", "/nowhere/gpu", "--model", "m")
    assert done.exit_code == 2
    assert "/nowhere/gpu" in done.stderr


def test_help_imports_nothing_that_is_slow():
    """What the verbs need they import themselves: `--help` has no event loop, no HTTP and no validation to wait for."""
    heavy = {"aiohttp", "uvloop", "pydantic", "rich", "prometheus_client", "openai", "pynvml"}
    program = "import sys, jevons.proxy.cli; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert heavy & set(done.stdout.split()) == set()
