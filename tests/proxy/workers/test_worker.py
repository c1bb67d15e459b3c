"""What a worker does with its owner's words."""

import msgspec
import pytest
from workers_fixture import ENGINES, config, welcome

from jevons.policies.budget import Window
from jevons.proxy.errors import JevonsError
from jevons.proxy.keys import parse_keys
from jevons.proxy.metering.shared_counts import SharedCounts
from jevons.proxy.metering.statements import Due
from jevons.proxy.observed import Intensity
from jevons.proxy.workers import messages
from jevons.proxy.workers.setting import pack
from jevons.proxy.workers.worker import Worker


class Line(list):
    """A link that keeps what is sent."""

    send = list.append


@pytest.fixture
def line():
    return Line()


@pytest.fixture
def worker(line):
    """One that does not run yet."""
    return Worker(line, welcome(0), SharedCounts.create(1)[0])


async def test_a_call_is_answered(worker, line):
    """With what is known of every engine, and the edges before it."""
    work = worker._metering.contributor.begin(
        "chat", worker._metering.clock(), prompt_tokens=1.0, sequences=1, is_streamed=True, decodes=True
    )
    worker.receive(messages.Call((Due(("chat",), 3),)))
    edges, told = line
    assert edges.edges[0][0] == "chat"
    assert [sight.engine for sight in told.statement.sights] == ["chat"]
    worker.receive(messages.Moved((("chat", 1, 2),)))
    worker.receive(messages.Prices(()))
    assert not work.account.is_final


def test_what_others_remember(worker, line):
    """It is known here, and not told again."""
    worker.receive(messages.Remembered(b"resp", "chat"))
    worker.receive(messages.Remembered(b"key", None))
    worker.receive(messages.Others({"h": (0, 1.0)}))
    assert worker._affinity.upstreams == {"resp": "chat"}
    assert worker._sessions.reasons(b"key", 60.0)
    assert worker._balances._others == {"h": (0, 1.0)}
    assert not line
    worker._affinity.remember("other", "chat")
    worker._sessions.remember(b"other")
    assert line == [messages.Remembered(b"other", "chat", None), messages.Remembered(b"other", None)]
    assert worker._balances.used("h", Window.DAY) == 0.0


def test_surroundings(worker):
    """The power and the grid, as the owner knows them."""
    worker.receive(messages.Surroundings({"chat": None}, {"chat": "vllm"}, {"GPU": 5.0}, Intensity(1.0, "file")))
    assert worker._metering.watts == {"GPU": 5.0}
    assert worker._metering.carbon.intensity == Intensity(1.0, "file")
    worker.receive(messages.Up("chat"))
    worker.receive(messages.Engines((), ()))


def test_a_reload(worker):
    """Names and engines that are new are known."""
    changed = config(upstreams=[{"name": "second", "url": "http://127.0.0.1:9/v1", "model": "m"}])
    told = messages.Engines((*ENGINES.engines, msgspec.structs.replace(ENGINES.engines[0], name="second", slot=1)), ())
    worker.receive(pack(changed, parse_keys(f'- {{name: a, tenant: b, sha256: "{"0" * 64}"}}'), told))
    assert list(worker._upstreams) == ["second"]
    assert set(worker._metering.attribution.engines) == {"chat", "second"}


def test_a_question(worker, line):
    """One that is not known here, and a score of it."""
    worker.receive(messages.Find(3, "r", "t"))
    assert line == [messages.Found(3, None)]
    worker.receive(messages.Found(9, None))
    worker.receive(messages.Scored("r", "t", 1.0))


def test_a_word_that_is_not_for_a_worker(worker):
    """Is a bug, and loud."""
    with pytest.raises(JevonsError, match="was told Welcome"):
        worker.receive(welcome(0))
