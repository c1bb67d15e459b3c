"""Where an engine's energy coefficients begin: public measurements, by model size and GPU.

F and the per-token term come from the least-squares fits `J/token = a/B + b` to the ML.ENERGY benchmark (Chung et al., NeurIPS
D&B 2025, Apache-2.0), shipped beside this module. `b` was measured at some mean context; the same models measured at short
and at long answers tell the context term apart: on an H100, Qwen3-8B, 14B and 32B give 3.4e-5, 2.8e-5 and 4.5e-5 J per
context token. A prompt token is 2 FLOP per active parameter at half of the card's dense bf16 peak and its full power. All of
this only has to be right in its ratios: the meter sets the total.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from ..exchange import Coefficients

DEFAULT_BILLIONS: Final = 8.0
_CONTEXT_JOULES_AT_8B: Final = 3.4e-5
_CONTEXT_EXPONENT: Final = 0.37
"""KV bytes per token grow more slowly than parameters: x2.2 from an 8B to a 70B of the Llama 3 family."""
_CHAT_TASKS: Final = frozenset({"chat", "lm-arena-chat"})
_PROMPT_TOKENS: Final = 100.0
"""About the mean prompt of the benchmark's chat task."""
_HALF_PEAK: Final = 0.5
_EXPERTS: Final = r"(\d+)x(\d+(?:\.\d+)?)b(?![a-z])"
_EXPERTS_PER_TOKEN: Final = 2
"""As in the Mixtral family, whose names count experts."""


@dataclass(frozen=True, slots=True)
class Card:
    """One GPU family of the table: dense bf16 peak and board power as its datasheet gives them."""

    mark: str
    """What stands in the names NVML gives to this family."""
    flops: float
    watts: float


CARDS: Final = (Card("H100", 989e12, 700.0), Card("A100", 312e12, 400.0), Card("B200", 2250e12, 1000.0))
"""The first is taken where the device is unknown; an H200 is an H100 with more memory."""


@dataclass(frozen=True, slots=True)
class Fit:
    """One row of the table."""

    model: str
    gpu: str
    billions: float
    joules_per_step: float
    joules_per_token: float
    output_tokens: float


def billions_of(model: str) -> float | None:
    """The parameters in a model's name, in billions: `Llama-3.1-8B` is 8, `Mixtral-8x7B` 56, `llama3.2:3b` 3; else None."""
    experts = re.search(_EXPERTS, model, re.IGNORECASE)
    if experts:
        return int(experts[1]) * float(experts[2])
    sizes = re.findall(r"(?<![a-z0-9.])(\d+(?:\.\d+)?)b(?![a-z])", model, re.IGNORECASE)
    return float(sizes[0]) if sizes else None


def active_billions_of(model: str) -> float | None:
    """The parameters that a token passes through: 3 of `Qwen3-30B-A3B`, two experts of `Mixtral-8x7B`, else all of them."""
    active = re.search(r"(?<![a-z0-9])a(\d+(?:\.\d+)?)b(?![a-z])", model, re.IGNORECASE)
    if active:
        return float(active[1])
    experts = re.search(_EXPERTS, model, re.IGNORECASE)
    return _EXPERTS_PER_TOKEN * float(experts[2]) if experts else billions_of(model)


def prior(model: str, gpu: str | None) -> Coefficients:
    """Start values for a model on a GPU, by their names; the nearest in size where the model is not in the table."""
    card = next((card for card in CARDS if gpu and re.search(rf"{card.mark}(?!\d)", gpu)), CARDS[0])
    rows = [row for row in _load_fits() if card.mark in row.gpu]
    billions = billions_of(model) or DEFAULT_BILLIONS
    name = model.rsplit("/", 1)[-1].lower()
    exact = [row for row in rows if row.model.rsplit("/", 1)[-1].lower() == name]
    row = min(exact or rows, key=lambda row: abs(math.log(row.billions / billions)))
    context = _CONTEXT_JOULES_AT_8B * (billions / DEFAULT_BILLIONS) ** _CONTEXT_EXPONENT
    mean_context = _PROMPT_TOKENS + row.output_tokens / 2
    return Coefficients(
        fixed_joules_per_step=row.joules_per_step,
        joules_per_token=max(row.joules_per_token / 2, row.joules_per_token - context * mean_context),
        joules_per_context_token=context,
        joules_per_prompt_token=2e9 * (active_billions_of(model) or billions) * card.watts / (_HALF_PEAK * card.flops),
    )


def _load_fits() -> list[Fit]:
    """The chat rows whose model names its size, the newest measurements first."""
    table = json.loads(files(__package__).joinpath("ml_energy_fit.json").read_text())
    columns = {name: index for index, name in enumerate(table["meta"]["columns"])}
    fits = []
    for row in table["rows"]:
        billions = billions_of(row[columns["model"]])
        if row[columns["task"]] in _CHAT_TASKS and billions is not None:
            fits.append(
                Fit(
                    model=row[columns["model"]],
                    gpu=row[columns["gpu"]],
                    billions=billions,
                    joules_per_step=row[columns["a_j_per_step"]],
                    joules_per_token=row[columns["b_j_per_token"]],
                    output_tokens=row[columns["mean_output_tokens"]],
                )
            )
    return fits[::-1]
