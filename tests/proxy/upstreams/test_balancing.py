"""Which replica is next: the one with the least to do, and never one because it fails fast."""

import random

import pytest

from jevons.proxy.exchange import Endpoint, Prompt, Request, Upstream, Usage
from jevons.proxy.upstreams.balancing import Answers, Station, least_loaded
from jevons.proxy.upstreams.breaker import Breaker, BreakerLimits
from jevons.proxy.wire.parsing import JsonBody

NEVER = BreakerLimits(failures=10**9)


def stations(count):
    """Servers with nothing to do."""
    return [Station(Upstream(str(number), "http://x/v1", "m"), Breaker(NEVER, float)) for number in range(count)]


def request(**fields):
    """One request of these facts."""
    return Request("req", fields.pop("endpoint", Endpoint.CHAT), JsonBody({}), "m", 0.0, **fields)


def test_the_least_work_is_next_and_equals_take_turns():
    """Among equals the one that was asked longest ago."""
    first, second = both = stations(2)
    first.work = 10.0
    assert least_loaded(both, (), 0.0, 10.0) is second
    second.work, first.last = 10.0, 1
    assert least_loaded(both, (), 0.0, 10.0) is second
    assert least_loaded(both, (second,), 0.0, 10.0) is first
    assert least_loaded(both, both, 0.0, 10.0) is None


def test_the_work_of_a_request():
    """Answers count by what they usually take, or the client's limit; prompts little; embeddings by their prompt only."""
    answers = Answers()
    for _ in range(200):
        answers.learn(Usage(completion=1000), 2, 4.0)
    assert answers.tokens == pytest.approx(500, rel=0.01)
    assert answers.work(request(sequences=2)) == pytest.approx(1 + 1000, rel=0.01)
    assert answers.work(request(max_tokens=10, prompt=Prompt(tokens=160))) == 1 + 10 + 10
    assert answers.work(request(endpoint=Endpoint.EMBEDDINGS, prompt=Prompt(tokens=160))) == 1 + 10
    assert answers.memory_seconds == 10.0
    answers.learn(Usage(), 1, 400.0)
    assert answers.memory_seconds > 80.0


@pytest.mark.parametrize("answer_seconds", [0.5, 5.0, 120.0])
@pytest.mark.parametrize("failing", [1.0, 0.5])
def test_a_server_that_fails_fast_is_not_favoured(answer_seconds, failing):
    """One of three fails at once, always or every other time: it never gets its even share, however long answers take."""
    chance = random.Random(7)
    servers, answers = stations(3), Answers()
    answers.seconds = answer_seconds
    now, asked, running = 0.0, [0, 0, 0], []
    for count in range(3000):
        now += answer_seconds / 30
        for end in [end for end in running if end[0] <= now]:
            running.remove(end)
            end[1].work -= 100.0
        server = least_loaded(servers, (), now, answers.memory_seconds)
        server.last = count
        asked[servers.index(server)] += 1
        if server is servers[0] and chance.random() < failing:
            server.failed(100.0, now, answers.memory_seconds)
        else:
            server.work += 100.0
            running.append((now + answer_seconds, server))
    assert asked[0] < 1000 * 0.9
    assert asked[0] > 0  # it is still asked, or nobody would find out that it is well again


def test_a_rest_is_limited():
    """A server that asks for an hour gets a minute."""
    (station,) = stations(1)
    station.rest(100.0, 3600.0)
    assert station.rests_until == 160.0
