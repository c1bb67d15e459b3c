"""Starting the real process: what it says, what it refuses and with which exit code, and who is let in."""

from __future__ import annotations

import os
import re
import socket
from contextlib import ExitStack

import openai
import pytest
from jevons_process import CHAT_MODEL, COMMAND, final_record, get, run_jevons, until

from jevons.proxy.upstreams.detection import USUAL_PORTS

ASK = [{"role": "user", "content": "What is the capital of Peru?"}]
HERE = re.compile(r"^.*config\.yaml:\d+:\d+: ", re.MULTILINE)


def test_the_shipped_configuration_runs(serve):
    """It says where it listens, is healthy at once and ready as soon as a server has answered, and logs JSON lines."""
    process = serve()
    assert re.fullmatch(r"jevons \S+ listening on http://127.0.0.1:\d+/v1, admin on http://127.0.0.1:\d+\n", process.line)
    status, health = get(f"{process.admin}/healthz")
    assert (status, health["status"], health["config"]["error"]) == (200, "ok", None)
    until(lambda: get(f"{process.admin}/readyz")[0] == 200)
    until(lambda: [meter["up"] for meter in get(f"{process.admin}/healthz")[1]["meters"]] == [True])
    assert process.stop() == 0
    assert {"upstream changed", "draining"} <= {line["event"] for line in process.logs}


def test_every_mistake_in_a_configuration_is_named_at_once(models, tmp_path):
    """Exit 2, and one line `file:line:column: path: message` for each mistake, with what was probably meant."""
    config = tmp_path / "config.yaml"
    text = models.config().replace("default: direct", "defualt: direct").replace("reasoning: always", "reasoning: sometimes")
    config.write_text(text.replace("drain_seconds: 30.0", "drain_seconds: soon"))
    done = run_jevons("serve", "--config", config)
    assert (done.returncode, done.stdout) == (2, "")
    lines = done.stderr.splitlines()
    assert [bool(HERE.match(line)) for line in lines] == [True, True, True]
    assert sorted(line.split(": ")[1] for line in lines) == ["defualt", "drain_seconds", "upstreams.1.reasoning"]
    assert "did you mean default?" in done.stderr


def test_a_configuration_that_is_not_there(tmp_path):
    """Exit 2 and the path."""
    done = run_jevons("serve", "--config", tmp_path / "nowhere.yaml")
    assert done.returncode == 2
    assert "nowhere.yaml" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("listener", ["listen", "admin"])
def test_a_port_in_use(models, tmp_path, listener):
    """Exit 1 and one line that says which address, for either listener."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config = tmp_path / "config.yaml"
        config.write_text(models.config().replace(f"{listener}: 127.0.0.1:0", f"{listener}: 127.0.0.1:{port}"))
        done = run_jevons("serve", "--config", config, "--log-level", "error")
    assert done.returncode == 1
    assert done.stderr == f"jevons: cannot listen on 127.0.0.1:{port}: address already in use\n"


def test_beyond_loopback_somebody_must_say_who_may_come_in(models, serve, tmp_path):
    """0.0.0.0 is refused without keys or `allow_anonymous`, and so is an open admin listener; with both said it starts."""
    text = models.config().replace("listen: 127.0.0.1:0", "listen: 0.0.0.0:0").replace("admin: 127.0.0.1:0", "admin: 0.0.0.0:0")
    config = tmp_path / "refused.yaml"
    config.write_text(text)
    done = run_jevons("serve", "--config", config)
    assert done.returncode == 2
    problems = [line.split(": ", 2)[1] for line in done.stderr.splitlines()]
    assert problems == ["listen", "admin"]
    assert "allow_anonymous" in done.stderr
    process = serve(text + "auth: {allow_anonymous: true}\nadmin_public: true\n")
    port = process.main.rsplit(":", 1)[1]
    assert get(f"http://127.0.0.1:{port}/v1/models")[0] == 200


def test_keys(models, serve, tmp_path):
    """Two tenants with keys of `jevons keys new`: no key or a wrong one is 401, another's request 404, one's own is there."""
    made = {tenant: run_jevons("keys", "new", "--tenant", tenant, "--name", f"{tenant}-laptop") for tenant in ("alice", "bob")}
    keys = {tenant: done.stdout.splitlines()[0] for tenant, done in made.items()}
    entries = [done.stdout.splitlines()[1] for done in made.values()]
    assert all(key not in entry for key, entry in zip(keys.values(), entries, strict=True))
    (tmp_path / "keys.yaml").write_text("\n".join(entries))
    process = serve(models.config() + "auth: {keys_file: keys.yaml}\n")

    with openai.OpenAI(base_url=f"{process.main}/v1", api_key=keys["alice"], max_retries=0) as alice:
        raw = alice.chat.completions.with_raw_response.create(model="auto", messages=ASK, max_tokens=5)
        request_id = raw.headers["x-request-id"]
        with pytest.raises(openai.AuthenticationError) as refused:
            alice.with_options(api_key="jev-guessed").chat.completions.create(model="auto", messages=ASK)
    assert refused.value.code == "invalid_api_key"
    assert final_record(process.main, request_id, key=keys["alice"])["outcome"] == "ok"
    assert get(f"{process.main}/v1/energy/{request_id}", key=keys["bob"])[0] == 404
    assert get(f"{process.main}/v1/energy/{request_id}")[0] == 401
    assert get(f"{process.admin}/healthz")[0] == 200
    assert all(key not in process.errors for key in keys.values())


def is_free(port: int) -> bool:
    """Whether nobody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_without_a_configuration(models, processes, tmp_path):
    """A server at a usual port is found, named and served; with none there the exit code is 1 and the ports are named."""
    if not all(map(is_free, USUAL_PORTS)):
        pytest.skip(f"something listens on one of {USUAL_PORTS} here already")
    done = run_jevons("check")
    assert (done.returncode, done.stdout) == (1, "")
    assert "--config" in done.stderr
    assert all(f":{port}" in done.stderr for port in USUAL_PORTS)

    processes.start("simulate", "--gpu", models.gpu, "--model", CHAT_MODEL, "--port", str(USUAL_PORTS[-1]))
    done = run_jevons("explain", "--json", "Why?")
    assert done.returncode == 0
    assert f"found {CHAT_MODEL} at http://127.0.0.1:{USUAL_PORTS[-1]}/v1 (vllm, reasoning: never)" in done.stderr
    assert '"upstream": "llama-3.1-8b-instruct"' in done.stdout


@pytest.mark.parametrize("descriptor", ["1", "2"])
def test_a_closed_standard_stream(models, processes, tmp_path, descriptor):
    """Without a standard output, or without a standard error, it serves all the same."""
    ports = two_free_ports()
    config = tmp_path / "config.yaml"
    config.write_text(at_ports(models.config(), ports))
    shell = ("sh", "-c", f'exec "$@" {descriptor}>&-', "sh", *COMMAND)
    process = processes.start("serve", "--config", config, command=shell, says=False)
    until(lambda: answers(f"http://127.0.0.1:{ports[1]}/readyz"))
    with openai.OpenAI(base_url=f"http://127.0.0.1:{ports[0]}/v1", api_key="none", max_retries=0) as client:
        assert client.chat.completions.create(model="auto", messages=ASK, max_tokens=2).choices
    assert process.stop() == 0
    assert "Traceback" not in process.errors


def test_nobody_reads_what_it_says(models, processes, tmp_path):
    """A reader of both streams that has gone, as `| head -1` is, neither stops the proxy nor spoils its exit code."""
    ports = two_free_ports()
    config = tmp_path / "config.yaml"
    config.write_text(at_ports(models.config(), ports))
    reader, writer = os.pipe()
    os.close(reader)
    process = processes.start("serve", "--config", config, output=writer)
    os.close(writer)
    until(lambda: answers(f"http://127.0.0.1:{ports[1]}/readyz"))
    assert process.stop() == 0


def two_free_ports() -> list[int]:
    """Ports that the system would give out."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
        return [each.getsockname()[1] for each in sockets]


def at_ports(text: str, ports: list[int]) -> str:
    """The configuration with these two, for a process that cannot say where it listens."""
    listen, admin = ports
    return text.replace("listen: 127.0.0.1:0", f"listen: 127.0.0.1:{listen}").replace(
        "admin: 127.0.0.1:0", f"admin: 127.0.0.1:{admin}"
    )


def answers(url: str) -> bool:
    """Whether there is an answer of 200."""
    try:
        return get(url)[0] == 200
    except ConnectionError:
        return False
