"""What a worker tells of what has happened."""

import json
import pickle
from types import SimpleNamespace

import pytest

from jevons.exporters.exporter import Sources
from jevons.exporters.prometheus import PrometheusExporter
from jevons.policies.budget import Window
from jevons.proxy.exchange import Endpoint, Outcome, Record, Tier
from jevons.proxy.holdout import Pair, PairSums
from jevons.proxy.metering_state import MeteringState
from jevons.proxy.observed import LineState
from jevons.proxy.workers.memories import SharedBalances
from jevons.proxy.workers.messages import Sampled
from jevons.proxy.workers.outbox import MOST_SHOWN, Outbox

FLEET = SimpleNamespace(servers=list, lines=lambda: [LineState("m", 0, 0, 0, 0)])
ROUTER = SimpleNamespace(holdout=None)


class Line(list):
    """A link that keeps what is sent."""

    send = list.append


@pytest.fixture
def counted():
    return PrometheusExporter(Sources(upstreams=["m"], policies=["caller"], metering=MeteringState, version="1"))


def record(number):
    return Record(f"r{number}", "t", Endpoint.CHAT, 1.0, upstream="m", outcome=Outcome.OK)


def test_nothing_new_is_nothing_sent(counted):
    """But the first word, which says that nobody waits."""
    line = Line()
    outbox = Outbox(line, counted, SharedBalances(), wants_records=False)
    outbox.send(0, FLEET, ROUTER)
    outbox.send(0, FLEET, ROUTER)
    assert len(line) == 1


def test_counts_records_and_budgets(counted):
    """Each once; of requests for the page the latest, of records all where somebody wants them."""
    line, balances = Line(), SharedBalances(lambda: 3600.0)
    outbox = Outbox(line, counted, balances, wants_records=True)
    for number in range(MOST_SHOWN + 5):
        counted.answered(record(number))
        outbox.export(record(number))
    balances.reserve("r", [("h", Window.HOUR)], 1.0)
    outbox.send(3, FLEET, ROUTER)
    passed = line.pop()
    assert passed.in_flight == 3
    assert [one["id"] for one in json.loads(passed.latest)] == [f"r{number}" for number in range(5, MOST_SHOWN + 5)]
    assert pickle.loads(passed.records) == [record(number) for number in range(MOST_SHOWN + 5)]  # noqa: S301 - our own
    assert passed.used == {"h": (1, 0.0, 1.0)}
    whole = PrometheusExporter(Sources(upstreams=["m"], policies=["caller"], metering=MeteringState, version="1"))
    whole.add_changes(passed.changes)
    assert f'jevons_requests_total{{outcome="ok",upstream="m"}} {MOST_SHOWN + 5}.0' in whole.render()[0].decode()
    outbox.send(3, FLEET, ROUTER)
    assert not line


def test_the_holdout_at_the_end(counted):
    """Its pairs go up seldom, and once more at the end."""
    line = Line()
    holdout = SimpleNamespace(requests=2, joules=3.0, pairs=[Pair(Tier.DIRECT, 1.0, 2.0)], sums=PairSums(1, 1.0, 2.0))
    outbox = Outbox(line, counted, SharedBalances(), wants_records=False)
    outbox.send(0, FLEET, SimpleNamespace(holdout=holdout))
    outbox.send(0, FLEET, SimpleNamespace(holdout=holdout), is_last=True)
    assert line[1:] == [Sampled(2, 3.0, (("direct", 1.0, 2.0),), PairSums(1, 1.0, 2.0))]
