"""The metrics of routing: what was decided, what that costs and saves, and what became of it."""

from __future__ import annotations

from typing import Final

from .metric import OTHER, Label, Metric

DECISION: Final = Label("decision", ("direct", "reasoning", "pinned", "unsure", "rejected"))
BUDGET: Final = Label("budget")
HOLDER: Final = Label("holder")
SAVING_BOUND: Final = Label("bound", ("estimate", "low", "high"))
TIER: Final = Label("tier", ("direct", "reasoning"))
FEEDBACK_ARM: Final = Label("arm", ("routed", "caller", "holdout"))
"""`caller`: who asked had decided where to."""
PAIR_ARM: Final = Label("arm", ("routed", "reasoning"))
ESCALATION: Final = Label("reason", ("length", "refusal", "json", "tools", "logprob", OTHER))
UPSTREAM: Final = Label("upstream")

ROUTE_DECISIONS: Final = Metric(
    "jevons_route_decisions_total",
    "counter",
    "",
    (Label("policy"), DECISION),
    "Decisions by the policy that made them.",
)
ROUTE_ENERGY: Final = Metric(
    "jevons_route_energy_joules_total",
    "counter",
    "joules",
    (Label("policy"), DECISION),
    "Energy of finished requests by the policy that routed them and its decision; what is unknown is in none.",
)
SWITCH_NOT_HONOURED: Final = Metric(
    "jevons_switch_not_honoured_total",
    "counter",
    "",
    (UPSTREAM,),
    "Answers that thought although told not to, or did not although told to.",
)
HOLDOUT_REQUESTS: Final = Metric(
    "jevons_holdout_requests_total",
    "counter",
    "",
    (),
    "Requests that were asked of the other tier too, behind the client's back and in nobody's figure, to measure what is saved.",
)
HOLDOUT_ENERGY: Final = Metric(
    "jevons_holdout_energy_joules_total",
    "counter",
    "joules",
    (),
    "What these have consumed, as far as it is known.",
)
HOLDOUT_PAIRS: Final = Metric(
    "jevons_holdout_pairs_total",
    "counter",
    "",
    (),
    "Requests of which both arms were answered and both energies are known.",
)
HOLDOUT_PAIR_ENERGY: Final = Metric(
    "jevons_holdout_pair_energy_joules_total",
    "counter",
    "joules",
    (PAIR_ARM,),
    "What these pairs took as they were routed, and what reasoning took, or would have taken, for the same requests.",
)
MEASURED_SAVING: Final = Metric(
    "jevons_measured_saving_ratio",
    "gauge",
    "",
    (SAVING_BOUND,),
    "The share of joules that routing saves against always reasoning, by the holdout, with the bounds of its 95 % interval.",
)
BUDGET_USED: Final = Metric(
    "jevons_budget_used_joules",
    "gauge",
    "joules",
    (BUDGET, HOLDER),
    "Joules spent or reserved in the window that runs, by whose they are: tenant, tenant/key, or all. Absent where none were.",
)
BUDGET_LIMIT: Final = Metric("jevons_budget_limit_joules", "gauge", "joules", (BUDGET, HOLDER), "How many there may be.")
FEEDBACK_SCORE: Final = Metric(
    "jevons_feedback_score",
    "histogram",
    "",
    (FEEDBACK_ARM, TIER),
    "Scores by POST /v1/feedback, 0 to 1, by who chose and the tier that answered; the first of each request in memory.",
    (0.0, 0.2, 0.4, 0.6, 0.8, 1.0),
)
ESCALATIONS: Final = Metric(
    "jevons_escalations_total",
    "counter",
    "",
    (ESCALATION,),
    "Direct answers that would not do, so that reasoning was asked, by what was wrong with them.",
)
ESCALATION_WASTED: Final = Metric(
    "jevons_escalation_wasted_joules_total",
    "counter",
    "joules",
    (ESCALATION,),
    "Energy of the answers that nobody got because of that, as far as it is known; it is in that of their requests.",
)
