"""Who is told that an energy is final: all, once, in order, and never many in one go."""

import asyncio

import pytest

from jevons.proxy.metering.account import Account
from jevons.proxy.metering.finals import TOLD_PER_TURN, Finals


def accounts_of(told, count, first=0):
    """Accounts, each with somebody who waits for it and notes its number."""
    accounts = [Account(0.25, 0.0, 1) for _ in range(count)]
    for number, account in enumerate(accounts, start=first):
        account.when_final.append(lambda number=number: told.append(number))
    return accounts


def test_few_are_told_at_once_and_without_a_loop():
    """Nobody waits for a turn that is not needed, and an account that nobody asked about is none."""
    told, finals = [], Finals()
    finals.tell([Account(0.25, 0.0, 1), *accounts_of(told, TOLD_PER_TURN)])
    assert told == list(range(TOLD_PER_TURN))
    assert len(finals) == 0


async def test_many_are_told_in_turns_between_which_others_get_theirs():
    """Each turn tells a part, and those who come meanwhile stand behind."""
    told, finals = [], Finals()
    finals.tell(accounts_of(told, 3 * TOLD_PER_TURN))
    seen = [len(told)]
    finals.tell(accounts_of(told, 1, first=3 * TOLD_PER_TURN))
    while finals:
        await asyncio.sleep(0)
        seen.append(len(told))
    assert seen == [TOLD_PER_TURN, 2 * TOLD_PER_TURN, 3 * TOLD_PER_TURN, 3 * TOLD_PER_TURN + 1]
    assert told == list(range(3 * TOLD_PER_TURN + 1))


async def test_a_bug_for_one_keeps_it_from_no_other():
    """The error comes out where it was called from, and the rest is told."""
    told, finals = [], Finals()
    accounts = accounts_of(told, TOLD_PER_TURN + 5)
    accounts[3].when_final.insert(0, lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        finals.tell(accounts)
    for _ in range(3):
        await asyncio.sleep(0)
    assert told == [number for number in range(TOLD_PER_TURN + 5) if number != 3]


def test_who_asks_again_is_not_told_twice():
    """What has been called is not kept, so that a request's objects go."""
    told, finals = [], Finals()
    [account] = accounts_of(told, 1)
    finals.tell([account])
    finals.tell([account])
    assert told == [0]
    assert account.when_final == []
