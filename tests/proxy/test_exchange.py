from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jevons.proxy.exchange import Plan, Reason, Target, Upstream

UPSTREAM = Upstream("chat", "http://chat/v1", "m")


def test_an_undecided_plan_has_no_route():
    """Words without a target decide nothing."""
    plan = Plan().because(Reason("rules", "no match", ""))
    assert plan.decisive is None
    assert plan.route == ""


def test_the_last_word_with_a_target_is_decisive():
    """A later policy that moved the request is the one the route names, and silent ones after it are not."""
    plan = (
        Plan()
        .sent_to((Target(Upstream("small", "", "m")),), Reason("rules", "a", "direct"), "direct")
        .sent_to((Target(UPSTREAM),), Reason("limits", "context", "chat"), "direct")
        .because(Reason("budget", "fits", ""))
    )
    assert plan.route == "limits:context;to=chat"


@given(st.text(max_size=300), st.text(max_size=300))
def test_the_route_is_fit_for_a_header(word, name):
    """Whatever a rule or an upstream is called, the route is bounded printable ASCII with one separator."""
    plan = Plan().sent_to((Target(Upstream(name, "", "m")),), Reason("rules", word, "direct"), "direct")
    route = plan.route
    assert route.isascii()
    assert route.isprintable()
    assert route.count(";") == 1
    assert route.startswith("rules:")
    assert ";to=" in route
    assert len(route) <= 320


def test_names_of_models_stay_readable():
    """Slashes, colons and dots of model names are kept."""
    plan = Plan().sent_to((Target(Upstream("org/qwen3:8b-q4.1", "", "m")),), Reason("caller", "model", "x"), "pinned")
    assert plan.route == "caller:model;to=org/qwen3:8b-q4.1"
