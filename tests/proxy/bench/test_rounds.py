"""The whole benchmark: every subject in turn and all of it again; who fails is left out with the reason."""

from datetime import UTC, datetime

import pytest
from bench_world import visit

from jevons.proxy.bench import rounds as module
from jevons.proxy.bench.machine import Cores, describe_machine
from jevons.proxy.bench.rounds import Plan, Run, find_subjects, run_bench, visit_all
from jevons.proxy.bench.subjects import Subject
from jevons.proxy.bench.workloads import Workload
from jevons.proxy.errors import JevonsError


class Visitor:
    """Visits nobody: notes who was to be visited, and fails for one subject from some round on."""

    def __init__(self, failing="", from_round=1):
        self.asked = []
        self.failing = failing
        self.from_round = from_round

    def say(self, line):
        """Nobody listens."""

    def visit(self, subject, number):
        """As `Visitor.visit`."""
        self.asked.append((number, subject.name))
        if subject.name == self.failing and number >= self.from_round:
            raise JevonsError("it broke")
        return visit(subject.name, number)


@pytest.fixture
def run():
    run = Run(Plan(), describe_machine(), Cores(0, 1), datetime.now(UTC), 0.0)
    run.subjects = [Subject(name, name, "1", None) for name in ("a", "b", "c")]
    return run


def test_rounds_are_interleaved(run):
    """A B C, A B C."""
    visitor = Visitor()
    visit_all(visitor, 2, run)
    assert visitor.asked == [(1, "a"), (1, "b"), (1, "c"), (2, "a"), (2, "b"), (2, "c")]
    assert [(one.round, one.subject) for one in run.visits] == visitor.asked


def test_who_fails_is_not_asked_again(run):
    """The others go on; the rounds before stay, and the reason is kept."""
    visitor = Visitor(failing="b", from_round=2)
    visit_all(visitor, 3, run)
    assert [number for number, name in visitor.asked if name == "b"] == [1, 2]
    assert [one.round for one in run.visits if one.subject == "b"] == [1]
    assert [one.round for one in run.visits if one.subject == "c"] == [1, 2, 3]
    assert run.skipped == {"b": "it broke"}


def test_subjects_that_are_missing_are_left_out_with_a_reason(tmp_path, monkeypatch):
    """What is not installed is named, and what is ours is always there, behind going without a proxy."""
    monkeypatch.setenv("PATH", str(tmp_path))
    skipped = {"litellm": "pip failed"}
    found = find_subjects((), tmp_path, skipped)
    assert [subject.name for subject in found][:4] == ["direct", "jevons-pinned", "jevons", "jevons-chain"]
    assert "vllm-router is not installed" in skipped["vllm-router"]
    assert skipped["litellm"] == "pip failed"


def test_only_those_wanted_are_found(tmp_path):
    """A choice leaves out the rest without remarks; going without a proxy stays."""
    skipped = {}
    assert [subject.name for subject in find_subjects(("jevons",), tmp_path, skipped)] == ["direct", "jevons"]
    assert skipped == {}


def test_an_unknown_subject_is_refused(tmp_path):
    """The error lists those that there are."""
    with pytest.raises(JevonsError, match=r"nothing called 'apache'.*jevons-pinned.*nginx"):
        find_subjects(("apache",), tmp_path, {})


def test_one_core_is_refused_before_anything_is_built(tmp_path):
    """Nothing is compiled or started where nothing can be measured."""
    with pytest.raises(JevonsError, match="two cores"):
        run_bench(Plan(), {0}, tmp_path, print, installs_peers=False)
    assert list(tmp_path.iterdir()) == []


def test_peers_are_installed_where_wanted(tmp_path, monkeypatch):
    """Each peer that is wanted is installed first; one that cannot be is left out with pip's reason."""
    asked = []

    def install(peer, folder):
        asked.append(peer.name)
        raise JevonsError("no network")

    monkeypatch.setattr(module, "install_peer", install)
    monkeypatch.setattr(module, "pick_cores", lambda allowed, _: Cores(min(allowed), min(allowed)))
    monkeypatch.setattr(module, "visit_all", lambda *_: None)
    plan = Plan(only=("jevons", "litellm"), workloads=(Workload("json", "JSON", connections=1),))
    run = run_bench(plan, {0}, tmp_path, print, installs_peers=True)
    assert asked == ["litellm"]
    assert run.skipped == {"litellm": "no network"}
