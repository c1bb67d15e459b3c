"""Llama-3.1-70B on the cards of the ML.ENERGY tables, as physics that a simulated engine can run on. Pure.

Two least-squares fits with relative residuals over a series of the table, one row a batch size B: joules per output token
`F / B + b`, and seconds per step `t0 + t1 B`, a step being the time in which B sequences get a token each. The tables fold the
prompt into the output tokens and know one mean context; both are taken out of `b` by the rules of `metering.coefficients`. The
smallest batch of a series is 8 to 64, so that batch 1 is an extrapolation. No coefficient is chosen to reach a number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ..exchange import Coefficients
from ..metering.coefficients import CARDS, prior
from ..simulation.physics import Physics
from ..units import Watts
from .reference import Row, gpu_family, load_rows

PROMPT_TOKENS: Final = 100.0
"""About the mean prompt of the tables' chat task."""
SERIES: Final = (
    ("v2", "meta-llama/Meta-Llama-3.1-70B-Instruct", "A100-SXM4-40GB"),
    ("v2", "meta-llama/Meta-Llama-3.1-70B-Instruct", "H100 80GB HBM3"),
    ("v3", "meta-llama/Llama-3.1-70B-Instruct", "H100"),
    ("v3", "meta-llama/Llama-3.1-70B-Instruct", "B200"),
)
"""The first is that of the 512 J."""


@dataclass(frozen=True, slots=True)
class Hardware:
    """Cards with the model on them: its rows of the table by rising batch, and the physics that follow from them."""

    name: str
    rows: tuple[Row, ...]
    physics: Physics
    limit_watts: Watts

    @property
    def mean_tokens(self) -> float:
        """Of an answer, over the rows."""
        return sum(row.output_tokens for row in self.rows) / len(self.rows)


def load_hardware() -> list[Hardware]:
    """All four series."""
    return [_hardware(*series) for series in SERIES]


def _hardware(dataset: str, model: str, gpu: str) -> Hardware:
    found = [row for row in load_rows() if (row.dataset, row.model, row.gpu) == (dataset, model, gpu)]
    rows = tuple(sorted(found, key=lambda row: row.batch))
    fixed, per_token = fit([1 / row.batch for row in rows], [1.0] * len(rows), [row.joules_per_token for row in rows])
    step, per_sequence = fit([1.0] * len(rows), [row.batch for row in rows], [row.batch / row.tokens_per_second for row in rows])
    tokens = sum(row.output_tokens for row in rows) / len(rows)
    rules = prior(model, gpu)
    context = PROMPT_TOKENS + tokens / 2
    folded = rules.joules_per_context_token * context + rules.joules_per_prompt_token * PROMPT_TOKENS / tokens
    card = next(card for card in CARDS if card.mark == gpu_family(gpu))
    energy = Coefficients(fixed, per_token - folded, rules.joules_per_context_token, rules.joules_per_prompt_token)
    limit = card.watts * rows[0].num_gpus
    physics = Physics(
        energy=energy,
        seconds_per_step=step,
        seconds_per_sequence=per_sequence,
        seconds_per_context_token=0.0,
        seconds_per_prompt_token=rules.joules_per_prompt_token / limit,
    )
    return Hardware(f"{rows[0].hardware} ({dataset})", rows, physics, limit)


def fit(first: Sequence[float], second: Sequence[float], values: Sequence[float]) -> tuple[float, float]:
    """The two coefficients of `values = a first + b second` with the least sum of squared relative residuals."""
    scaled = [(u / value, v / value) for u, v, value in zip(first, second, values, strict=True)]
    uu, uv, vv = (sum(one[i] * one[j] for one in scaled) for i, j in ((0, 0), (0, 1), (1, 1)))
    u, v = (sum(one[i] for one in scaled) for i in (0, 1))
    determinant = uu * vv - uv * uv
    return (u * vv - v * uv) / determinant, (v * uu - u * uv) / determinant
