"""The terminal's picture."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from live_samples import DEVICE, reading, request, state
from rich.console import Console

from jevons.proxy.reporting.figures import UNKNOWN_SIGN
from jevons.proxy.reporting.top_view import render, sparkline
from jevons.proxy.reporting.watch import Watched


def picture(watched, width=120, height=40):
    """The text of it."""
    console = Console(file=io.StringIO(), width=width, height=height)
    console.print(render(watched, width=width, height=height))
    return console.file.getvalue()


def watched(*requests, **fields):
    """One that has seen these."""
    seen = Watched()
    seen.take(state([reading(0.0), reading(10.0, 3000.0, 750.0)], requests, **fields))
    return seen


def test_it_shows_power_meters_and_requests():
    """Power by account, J/token, meters, and the requests, the newest first."""
    text = picture(watched(request(1), request(2, tenant="bob")))
    for words in ("attributed 300 W", "idle 75.0 W", "1 in flight", "chat", "2.00", "GPU-1", "18.0 to 22.0", "q quits"):
        assert words in text
    assert text.index("bob") < text.index("alice")


def test_what_is_unknown_estimated_or_wrong_shows():
    """Unknown joules are a dash, estimated ones have a star, a meter that is down says why, and so does a lost connection."""
    seen = watched(
        request(1, joules=None),
        request(2, energy={"joules": 7.0, "low": 1.0, "high": 9.0, "method": "estimated"}),
        devices=[{**DEVICE, "is_up": False, "reason": "lost", "watts": None}],
        upstreams={"chat": False},
        budgets=[{"name": "team", "used_joules": 5e3, "limit_joules": 1e4, "resets_at": 0}],
    )
    seen.problem = "no answer"
    text = picture(seen)
    for words in ("7.00*", "down", "lost", "no answer", "team", "5.00 kJ"):
        assert words in text
    assert UNKNOWN_SIGN in text


def test_before_anything_came():
    """It says that it is connecting, and knows nothing."""
    assert "connecting" in picture(Watched())


def test_names_are_no_markup():
    """Whoever is called like markup is shown as he is called."""
    assert "[red]x[/]" in picture(watched(request(1, tenant="[red]x[/]")))


@pytest.mark.parametrize(("width", "height"), [(80, 24), (40, 12), (200, 60)])
def test_it_fits_the_terminal(width, height):
    """No line is wider than the terminal, and in a usual one nothing falls off below."""
    text = picture(watched(*(request(number) for number in range(100))), width, height)
    assert max(map(len, text.splitlines())) <= width
    if width >= 80:
        assert len(text.splitlines()) <= height


@given(st.lists(st.floats(0, 1e6), max_size=50), st.integers(1, 40))
def test_the_highest_bar_is_full(values, width):
    """As many bars as there is room for; the highest is full where anything is drawn at all."""
    bars = sparkline(values, width)
    assert len(bars) == min(len(values), width)
    if any(value > 0 for value in values[-width:]):
        assert "█" in bars
