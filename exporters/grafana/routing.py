"""The dashboard of routing: who decided what, whether it was kept, and whether what was saved came back as use."""

from __future__ import annotations

from typing import Final

from .panels import SELECTOR, Board, Panel, Query, Row, increase, rate, ratio

_DECISIONS: Final = Row(
    "Decisions",
    (
        Panel(
            title="By policy",
            description="Decisions a second, by the policy that made them.",
            unit="reqps",
            kind="stack",
            queries=(Query(rate("jevons_route_decisions_total", "policy"), "{{policy}}"),),
        ),
        Panel(
            title="By decision",
            description="Shares of what was decided.",
            unit="reqps",
            kind="shares",
            queries=(Query(rate("jevons_route_decisions_total", "decision"), "{{decision}}"),),
        ),
        Panel(
            title="Switch not honoured",
            description="Answers that thought although told not to, or the other way round, per second and upstream.",
            unit="reqps",
            queries=(Query(rate("jevons_switch_not_honoured_total", "upstream"), "{{upstream}}"),),
        ),
        Panel(
            title="Energy by policy and decision",
            description="Joules in the time shown.",
            unit="joule",
            kind="bars",
            width=12,
            queries=(
                Query(increase("jevons_route_energy_joules_total", "policy, decision") + " > 0", "{{policy}}: {{decision}}"),
            ),
        ),
        Panel(
            title="Joules per request by decision",
            description="What a decision costs.",
            unit="joule",
            width=12,
            queries=(
                Query(
                    ratio(
                        rate("jevons_route_energy_joules_total", "decision"),
                        rate("jevons_route_decisions_total", "decision"),
                    ),
                    "{{decision}}",
                ),
            ),
        ),
    ),
)

_PAIRS_SAVED: Final = ratio(
    increase("jevons_holdout_pair_energy_joules_total", over="$past", arm="routed"),
    increase("jevons_holdout_pair_energy_joules_total", over="$past", arm="reasoning"),
)

_SAVED: Final = Row(
    "What is saved, and what may be used",
    (
        Panel(
            title="Measured saving",
            description="Of joules against always reasoning, by the holdout, with the bounds of its 95 % interval. No data: no "
            "holdout, or too few pairs yet.",
            unit="percentunit",
            width=6,
            from_zero=False,
            queries=(Query(f"max by (bound) (jevons_measured_saving_ratio{{{SELECTOR}}})", "{{bound}}"),),
        ),
        Panel(
            title="Saving by period",
            description="The same by the sums over the pairs of the last period alone. No data: there were none in it.",
            unit="percentunit",
            kind="stat",
            width=6,
            from_zero=False,
            queries=(Query(f"1 - {_PAIRS_SAVED}"),),
        ),
        Panel(
            title="Energy of the holdout",
            description="Watts of the other arm, which nobody asked for: what the measurement costs.",
            unit="watt",
            width=6,
            queries=(Query(rate("jevons_holdout_energy_joules_total"), "holdout"),),
        ),
        Panel(
            title="Budgets used",
            description="Spent or reserved in the window that runs, as a share of the limit. No data: no budgets.",
            unit="percentunit",
            width=6,
            queries=(
                Query(
                    f"max by (budget, holder) (jevons_budget_used_joules{{{SELECTOR}}}"
                    f" / jevons_budget_limit_joules{{{SELECTOR}}})",
                    "{{budget}}: {{holder}}",
                ),
            ),
        ),
    ),
)

_QUALITY: Final = Row(
    "Quality: what clients say of answers, and which answers would not do",
    (
        Panel(
            title="Holdout quality",
            description="Mean score by POST /v1/feedback in the time shown, 0 to 1: of what was routed, what callers chose, and "
            "of the holdout's other arm, by the tier that answered. No data: nobody has scored.",
            unit="none",
            kind="bars",
            width=6,
            decimals=2,
            queries=(
                Query(
                    ratio(
                        increase("jevons_feedback_score_sum", "arm, tier"), increase("jevons_feedback_score_count", "arm, tier")
                    ),
                    "{{arm}}, {{tier}}",
                ),
            ),
        ),
        Panel(
            title="Scores",
            description="How many of them there were in the time shown: a mean of few says little.",
            unit="short",
            kind="bars",
            width=6,
            decimals=0,
            queries=(Query(increase("jevons_feedback_score_count", "arm, tier") + " > 0", "{{arm}}, {{tier}}"),),
        ),
        Panel(
            title="Escalations",
            description="Direct answers a second that would not do, by what was wrong with them; reasoning answered instead.",
            unit="reqps",
            kind="stack",
            width=6,
            queries=(Query(rate("jevons_escalations_total", "reason"), "{{reason}}"),),
        ),
        Panel(
            title="Energy thrown away by escalations",
            description="Watts of the answers that nobody got, by what was wrong with them.",
            unit="watt",
            kind="stack",
            width=6,
            queries=(Query(rate("jevons_escalation_wasted_joules_total", "reason"), "{{reason}}"),),
        ),
    ),
)

_REQUESTS_NOW: Final = increase("jevons_requests_total", over="$past")
_REQUESTS_THEN: Final = increase("jevons_requests_total", over="$past", offset="$past")
_EACH_NOW: Final = ratio(
    increase("jevons_request_energy_joules_sum", over="$past"), increase("jevons_request_energy_joules_count", over="$past")
)
_EACH_THEN: Final = ratio(
    increase("jevons_request_energy_joules_sum", over="$past", offset="$past"),
    increase("jevons_request_energy_joules_count", over="$past", offset="$past"),
)

_REBOUND: Final = Row(
    "The Jevons panel: does what is saved per request come back as more requests?",
    (
        Panel(
            title="Against the past",
            description="The last period over the one before it. Energy = requests x joules per request: where the latter falls "
            "and requests rise by as much, the saving has been used up.",
            unit="percentunit",
            width=16,
            height=10,
            from_zero=False,
            queries=(
                Query(ratio(_REQUESTS_NOW, _REQUESTS_THEN), "requests"),
                Query(ratio(f"({_EACH_NOW})", f"({_EACH_THEN})"), "joules per request"),
                Query(
                    f"({ratio(_REQUESTS_NOW, _REQUESTS_THEN)}) * ({ratio(f'({_EACH_NOW})', f'({_EACH_THEN})')})",
                    "energy of requests",
                ),
            ),
        ),
        Panel(
            title="Energy against the past",
            description="Of requests, the last period over the one before it. 100 %: as much as before.",
            unit="percentunit",
            kind="stat",
            height=10,
            queries=(Query(f"({ratio(_REQUESTS_NOW, _REQUESTS_THEN)}) * ({ratio(f'({_EACH_NOW})', f'({_EACH_THEN})')})"),),
        ),
    ),
)

ROUTING: Final = Board(
    uid="jevons-routing",
    title="jevons: routing",
    description="Who decided what, what that cost and saved, what became of the answers, and the rebound.",
    rows=(_DECISIONS, _SAVED, _QUALITY, _REBOUND),
    has_past=True,
)
