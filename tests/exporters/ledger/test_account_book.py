"""Windows of accounts: whatever is written and whatever is not, what they hold sums to the account."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger_world import metering_state

from jevons.exporters.ledger.account_book import AccountBook


def book():
    """One that began at time 1000."""
    return AccountBook("run-1", 1000.0)


def test_an_open_window_grows_and_then_the_next_begins_where_it_ends():
    """For a minute the same row is written anew; after that a new one, from where the last one ended."""
    accounts = book()
    spans = []
    for now in (1030.0, 1061.0, 1070.0):
        rows = accounts.rows(metering_state(idle=now), now)
        accounts.written(rows)
        spans += [(row.window_start, row.window_end, row.joules, row.total_joules) for row in rows]
    assert spans == [(1000.0, 1030.0, 1030.0, 1030.0), (1000.0, 1061.0, 1061.0, 1061.0), (1061.0, 1070.0, 9.0, 1070.0)]


def test_what_has_not_changed_is_not_written():
    """An account that gained nothing has no row; one that never gained anything has none at all."""
    accounts = book()
    rows = accounts.rows(metering_state(idle=5.0, attributed=0.0), 1010.0)
    assert [row.account for row in rows] == ["idle"]
    accounts.written(rows)
    assert accounts.rows(metering_state(idle=5.0, attributed=0.0), 1020.0) == []


steps = st.lists(st.tuples(st.floats(0.1, 100), st.floats(0, 1e6), st.booleans()), min_size=1, max_size=30)


@given(steps)
def test_the_windows_sum_to_the_account(course):
    """Over any course of gains and of writes that fail, the rows in the database meet end to end and sum to the account."""
    accounts, stored, now, total = book(), {}, 1000.0, 0.0
    for seconds, joules, is_written in [*course, (0.1, 1.0, True)]:
        now += seconds
        total += joules
        rows = accounts.rows(metering_state(idle=total), now)
        if is_written:
            stored.update({row.window_start: row for row in rows})
            accounts.written(rows)
    windows = sorted(stored.values(), key=lambda row: row.window_start)
    assert sum(row.joules for row in windows) == pytest.approx(total, rel=1e-12)
    assert windows[-1].total_joules == total
    assert windows[0].window_start == 1000.0
    assert [row.window_end for row in windows[:-1]] == [row.window_start for row in windows[1:]]


def test_what_an_earlier_process_has_settled_is_not_gained_again():
    """An account that goes on from a state file begins at what it had."""
    accounts = book()
    state = metering_state(idle=500.0)
    [device] = state.devices
    carried = replace(state, devices=(replace(device, carried={"idle": 480.0}),))
    rows = accounts.rows(carried, 1030.0)
    accounts.written(rows)
    assert [(row.joules, row.total_joules) for row in rows if row.account == "idle"] == [(20.0, 500.0)]
    [again] = accounts.rows(replace(state, devices=(replace(device, accounts={"idle": 530.0}),)), 1040.0)
    assert (again.joules, again.total_joules) == (50.0, 530.0)
