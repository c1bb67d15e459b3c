"""Where an engine's energy coefficients begin: public measurements, by model size and GPU.

F and the per-token term come from the least-squares fits `J/token = a/B + b` to the ML.ENERGY benchmark (Chung et al., NeurIPS
D&B 2025, Apache-2.0), shipped beside this module. `b` was measured at some mean context; the same models measured at short
and at long answers tell the context term apart: on an H100, Qwen3-8B, 14B and 32B give 3.4e-5, 2.8e-5 and 4.5e-5 J per
context token. A prompt token is 2 FLOP per active parameter at half of the card's dense bf16 peak and its full power. All of
this only has to be right in its ratios: the meter sets the total.

A model that is not in the table takes F and the token's term from power laws through all of its rows. Each row foretold by laws
through the rows of all other models, the ratio of the two has a logarithm off by 0.45 (standard deviation); foretold by the
row of the model that is nearest in size, by 0.7.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from ..exchange import Coefficients, Doubts
from ..units import Joules
from .fitting import TABLE_DOUBT

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
LISTED_DOUBT: Final = 0.1
"""How far, relative, F and the token's term may be off that are the model's own row on the same card and as many of them.

F by rows of one model on as many H100, at short and at long answers, is off by 0.08 (standard deviation, five pairs); the fits
through single rows miss a batch size by 0.045 at worst, in the median. On another number of cards it is off by 0.23, which is
little better than a law. Context and prompt are in no row."""
_TUNED: Final = r"-(?:instruct|it|chat|base|hf)(?=-|$)"
"""What names add to say how a model was trained: it has the same layers, and costs the same."""


@dataclass(frozen=True, slots=True)
class Card:
    """One GPU family of the table: dense bf16 peak and board power as its datasheet gives them."""

    mark: str
    """What stands in the names NVML gives to this family."""
    flops: float
    watts: float


@dataclass(frozen=True, slots=True)
class PowerLaw:
    """How a term grows with a model's size: `joules x billions^by_size x (billions / active)^by_experts x the card's factor`."""

    joules: float
    """Of a dense model of one billion parameters on an H100."""
    by_size: float
    by_experts: float
    cards: Mapping[str, float]
    """By the card's mark; 1 where there is none."""

    def at(self, billions: float, active: float, card: str) -> Joules:
        """The term of a model of so many parameters, of which so many are active."""
        return (
            self.joules
            * math.pow(billions, self.by_size)
            * math.pow(billions / active, self.by_experts)
            * self.cards.get(card, 1.0)
        )


FIXED_LAW: Final = PowerLaw(0.4705, 1.011, -0.140, {"A100": 1.821, "B200": 0.786})
"""Of F. Both by least squares of logarithms through the chat rows whose models tell their size by name."""
TOKEN_LAW: Final = PowerLaw(0.01957, 0.755, -0.388, {"A100": 1.389, "B200": 0.475})
"""Of the per-token term, without the context's."""
CARDS: Final = (Card("H100", 989e12, 700.0), Card("A100", 312e12, 400.0), Card("B200", 2250e12, 1000.0))
"""The first is taken where the device is unknown; an H200 is an H100 with more memory."""


@dataclass(frozen=True, slots=True)
class Fit:
    """One row of the table."""

    model: str
    gpu: str
    gpus: int
    billions: float
    joules_per_step: float
    joules_per_token: float
    output_tokens: float

    @property
    def token_joules(self) -> Joules:
        """The per-token term without what the mean context added to it: half of it at the least."""
        mean_context = _PROMPT_TOKENS + self.output_tokens / 2
        return max(self.joules_per_token / 2, self.joules_per_token - context_joules(self.billions) * mean_context)


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
    """Start values for a model on a GPU, by their names: its own row, or the laws where it is not in the table."""
    card = _card(gpu) or CARDS[0]
    billions = billions_of(model) or DEFAULT_BILLIONS
    active = min(billions, active_billions_of(model) or billions)
    row = _own_row(model, card)
    context = context_joules(billions)
    return Coefficients(
        fixed_joules_per_step=row.joules_per_step if row else FIXED_LAW.at(billions, active, card.mark),
        joules_per_token=row.token_joules if row else TOKEN_LAW.at(billions, active, card.mark),
        joules_per_context_token=context,
        joules_per_prompt_token=2e9 * (active_billions_of(model) or billions) * card.watts / (_HALF_PEAK * card.flops),
    )


def doubts_of(model: str, gpu: str | None, boards: int) -> Doubts:
    """How far off, relative, each of these start values may be for a model on so many boards of that name."""
    card = _card(gpu)
    row = card and _own_row(model, card)
    own = LISTED_DOUBT if row and row.gpus == boards else TABLE_DOUBT
    return (own, own, TABLE_DOUBT, TABLE_DOUBT)


def _card(gpu: str | None) -> Card | None:
    return next((card for card in CARDS if gpu and re.search(rf"{card.mark}(?!\d)", gpu)), None)


def _own_row(model: str, card: Card) -> Fit | None:
    return next((row for row in load_fits() if card.mark in row.gpu and _bare(row.model) == _bare(model)), None)


def context_joules(billions: float) -> Joules:
    """The context term of a model of so many parameters, on any card."""
    return _CONTEXT_JOULES_AT_8B * math.pow(billions / DEFAULT_BILLIONS, _CONTEXT_EXPONENT)


def _bare(model: str) -> str:
    return re.sub(_TUNED, "", model.rsplit("/", 1)[-1].lower())


def load_fits() -> list[Fit]:
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
                    gpus=row[columns["num_gpus"]],
                    billions=billions,
                    joules_per_step=row[columns["a_j_per_step"]],
                    joules_per_token=row[columns["b_j_per_token"]],
                    output_tokens=row[columns["mean_output_tokens"]],
                )
            )
    return fits[::-1]
