"""One subject in one round: started, loaded, weighed, stopped; one that does not do its work is no figure."""

import sys
import time

import pytest
from bench_world import two_cores

from jevons.proxy.bench import visits as module
from jevons.proxy.bench.subjects import Launch, Subject, direct, jevons_subjects
from jevons.proxy.bench.visits import Visitor
from jevons.proxy.bench.workloads import Workload
from jevons.proxy.errors import JevonsError

pytest_plugins = ["bench_fixture"]

JSON = Workload("json", "JSON replies", connections=2)
CALM = Workload("calm", "calm", connections=2, rate=50, is_charged=False)


@pytest.fixture
def said():
    return []


@pytest.fixture
def visitor(programs, said):
    return Visitor(programs, (JSON, CALM), two_cores(), seconds=0.2, warmup_seconds=0.05, say=said.append)


def python(code):
    return Subject("some", "some", "1", lambda _: Launch([sys.executable, "-c", code]))


def test_a_subject_is_measured(visitor, programs, said):
    """Every workload has its counts and its CPU time; start and memory are known; each result is said."""
    server = Subject("server", "a server", "1", lambda place: Launch([str(programs.mock), str(place.port)]))
    visit = visitor.visit(server, 3)
    assert (visit.subject, visit.round) == ("server", 3)
    assert [one.workload for one in visit.measurements] == ["json", "calm"]
    assert all(one.load.ok > 0 and one.load.bad == 0 and one.cpu.total > 0 for one in visit.measurements)
    assert visit.measurement("json").cpu.total > visit.measurement("calm").cpu.total
    assert visit.measurement("nothing") is None
    assert visit.start_seconds > 0
    assert 0 < visit.idle_bytes < 50_000_000
    assert len(said) == 2


def test_without_a_proxy_only_latencies_are_measured(visitor):
    """Nothing is started, and there is no CPU time to charge."""
    visit = visitor.visit(direct(), 1)
    assert [(one.workload, one.cpu) for one in visit.measurements] == [("calm", None)]
    assert (visit.start_seconds, visit.loaded_bytes) == (None, None)


def test_our_own_proxy_is_measured_with_its_meter_on(visitor):
    """It serves the load, and its replies carry joules of the simulated GPU."""
    metered = next(subject for subject in jevons_subjects() if subject.is_metered)
    visit = visitor.visit(metered, 1)
    assert all(one.load.ok > 0 and one.load.bad == 0 for one in visit.measurements)


def test_one_that_is_there_for_some_workloads_gets_no_others(visitor, programs):
    """And its memory is not held against that of those who had them all."""
    launch = lambda place: Launch([str(programs.mock), str(place.port)])  # noqa: E731 - it reads best so
    visit = visitor.visit(Subject("server", "a server", "1", launch, workloads=("json",)), 1)
    assert [one.workload for one in visit.measurements] == ["json"]
    assert visit.idle_bytes > 0
    assert visit.loaded_bytes is None


def test_a_meter_that_is_off_is_refused(visitor, programs):
    """A subject that should meter and does not gets no figures."""
    launch = lambda place: Launch([str(programs.mock), str(place.port)])  # noqa: E731 - it reads best so
    with pytest.raises(JevonsError, match="server did not meter: "):
        visitor.visit(Subject("server", "a server", "1", launch, is_metered=True), 1)


def test_a_subject_that_ends_is_quoted(visitor):
    """Its last words are the reason."""
    with pytest.raises(JevonsError, match=r"some ended: (?s:.*)bad luck"):
        visitor.visit(python("raise SystemExit('bad luck')"), 1)


def test_a_subject_that_never_serves_is_given_up(visitor, monkeypatch):
    """After a while the reason is what the last try met."""
    monkeypatch.setattr(module, "START_SECONDS", 0.3)
    with pytest.raises(JevonsError, match=r"some did not serve in 0.3 s: .*refused"):
        visitor.visit(python("import time; time.sleep(60)"), 1)


def test_the_last_load_is_waited_for(tmp_path):
    """A program that is still busy is not loaded again before it is done, or before patience ends."""

    class Busy:
        """Uses its core until half a second has passed."""

        def __init__(self):
            self.began = time.monotonic()

        def cpu_time(self):
            """As long as it is busy, all of the time."""
            return module.CpuTime(min(time.monotonic() - self.began, 0.5), 0.0)

    busy = Busy()
    module.wait_until_calm(busy)
    assert time.monotonic() - busy.began > 0.5
