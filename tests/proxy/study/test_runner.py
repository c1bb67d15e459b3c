"""A whole run against a real proxy: every request once, batches kept full, resumable, failures made good."""

import pytest
from study_samples import header

from jevons.proxy.errors import ConfigError, JevonsError
from jevons.proxy.exchange import Reasoning
from jevons.proxy.simulation.quirks import Quirks
from jevons.proxy.study.proxy_link import ProxyLink
from jevons.proxy.study.raw import FILE_NAME, RawWriter, read_raw
from jevons.proxy.study.runner import Progress, Runner, stamp
from jevons.proxy.study.study_file import parse_study

pytest_plugins = ["proxy_fixture"]

STUDY = """\
name: Quick
proxy: {base_url: "http://127.0.0.1:1", admin: "http://127.0.0.1:2"}
arms:
  - {name: plain, model: chat}
  - {name: thinker, model: chat-2, body: {top_p: 0.9}}
prompts: article
limit: 3
repetitions: 2
concurrency: [1, 4]
max_tokens: 30
warmup_requests: 1
settle_seconds: 0
idle_seconds: 0.3
pause_seconds: 0
"""
TOTAL = 2 * 3 * 2 * 2


def runner(folder, text=STUDY, **progress):
    return Runner(parse_study(text, environment={}), folder, Progress(**progress))


@pytest.fixture
async def world(start_proxy, start_upstream):
    """Two simulated servers, a proxy, and the link to it."""
    upstreams = [await start_upstream(remembers=999), await start_upstream(thinks=Reasoning.ALWAYS)]
    proxy = await start_proxy(*upstreams)
    return upstreams, ProxyLink(proxy.session, proxy.url, proxy.admin)


async def test_a_study_from_end_to_end(world, tmp_path):
    """Every arm answers every prompt, with final simulated joules; idle before and after; the header says what ran."""
    _, link = world
    stages, done = [], []
    study = runner(tmp_path, stage=stages.append, advance=lambda now, of: done.append((now, of)))
    assert study.prepare(resumes=False) == TOTAL
    raw = await study.run(link)
    assert len(raw.replies) == TOTAL == study.total
    assert study.missing == raw.failures == 0
    assert all(reply.is_usable and reply.method == "simulated" for reply in raw.replies.values())
    assert {reply.upstream for reply in raw.replies.values() if reply.arm == "thinker"} == {"chat-2"}
    assert [idle.when for idle in raw.idle] == ["before", "after"]
    assert raw.header.method == "simulated"
    assert raw.header.upstreams == {"chat": "simulated-8b", "chat-2": "simulated-8b"}
    assert {"jevons", "python", "proxy configuration"} <= set(raw.header.versions)
    assert done[-1] == (TOTAL, TOTAL)
    assert {"warming up", "idle before", "idle after", "all arms at 1", "plain at 4"} <= set(stages)
    assert read_raw(tmp_path) == raw


async def test_a_batch_is_kept_full(world, tmp_path):
    """With three prompts at four in flight, others keep the batch full; they are in no figure and end with the block."""
    upstreams, link = world
    text = STUDY.replace("concurrency: [1, 4]", "concurrency: [4]").replace("repetitions: 2", "repetitions: 1")
    study = runner(tmp_path, text)
    study.prepare(resumes=False)
    raw = await study.run(link)
    assert len(raw.replies) == 6
    assert len(upstreams[0].server.received) > 3 + 1


async def test_a_study_goes_on_where_it_was(world, tmp_path):
    """What was measured stays as it was; only the rest is asked; the header of the second run is added."""
    _, link = world
    study = runner(tmp_path)
    study.prepare(resumes=False)
    await study.run(link)
    path = tmp_path / FILE_NAME
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:12]) + lines[12][:40])
    kept = len(read_raw(tmp_path).replies)
    again = runner(tmp_path)
    with pytest.raises(JevonsError, match="go on with --resume"):
        again.prepare(resumes=False)
    assert again.prepare(resumes=True) == TOTAL - kept
    raw = await again.run(link)
    assert path.read_bytes().startswith(b"".join(lines[:12]))
    assert (len(raw.headers), len(raw.replies), raw.failures) == (2, TOTAL, 0)
    finished = path.read_bytes()
    last = runner(tmp_path)
    assert last.prepare(resumes=True) == 0
    await last.run(link)
    assert path.read_bytes() == finished


def test_two_halves_must_be_of_one_study(tmp_path):
    """Other settings in the same folder are refused, as are categories that no prompt has."""
    with RawWriter(tmp_path) as writer:
        writer.write(header())
    with pytest.raises(ConfigError, match="its two halves could not be compared"):
        runner(tmp_path).prepare(resumes=True)
    with pytest.raises(ConfigError, match="no prompt is of poetry"):
        runner(tmp_path / "new", STUDY + "categories: [poetry]\n").prepare(resumes=False)
    chosen = runner(tmp_path / "new", STUDY.replace("limit: 3\n", "") + "categories: [logic]\n")
    assert chosen.prepare(resumes=False) == 6 * 8


async def test_failures_are_tried_again(world, tmp_path):
    """A server that fails in the middle costs tries, not answers."""
    upstreams, link = world
    study = runner(tmp_path)
    study.prepare(resumes=False)

    def stage(words):
        failing = words == "plain at 4"
        upstreams[0].server.quirks = Quirks(error_status=400 if failing and not raw_failures() else None)

    def raw_failures():
        return read_raw(tmp_path).failures if (tmp_path / FILE_NAME).exists() else 0

    study.progress = Progress(stage=stage)
    raw = await study.run(link)
    assert raw.failures > 0
    assert study.missing == 0
    assert all(reply.is_usable for reply in raw.replies.values())


async def test_a_server_that_is_gone_ends_the_run(world, tmp_path):
    """After many failures in a row the run ends and says how to go on; a warm-up that fails ends it at once."""
    upstreams, link = world
    text = STUDY.replace("limit: 3", "limit: 20")
    study = runner(tmp_path, text)
    study.prepare(resumes=False)

    def stage(words):
        if words == "idle before":
            for upstream in upstreams:
                upstream.server.quirks = Quirks(error_status=400)

    study.progress = Progress(stage=stage)
    with pytest.raises(JevonsError, match=r"in a row failed.*--resume goes on"):
        await study.run(link)
    assert read_raw(tmp_path).failures < 30
    other = runner(tmp_path / "other")
    other.prepare(resumes=False)
    with pytest.raises(JevonsError, match="warm-up failed"):
        await other.run(link)


def test_a_folder_is_named_by_the_time():
    """Year, month, day and time, so that folders sort."""
    assert len(stamp()) == len("20260101-000000")
