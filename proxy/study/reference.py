"""Public figures to stand beside one's own: rows of the ML.ENERGY tables, and those of the article.

Facts of *The ML.ENERGY Benchmark* (Chung et al., NeurIPS Datasets and Benchmarks 2025, arXiv 2505.06371; data under
Apache-2.0), with their citation in the file.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

import msgspec

from ..metering.coefficients import billions_of
from ..units import Joules

_CHAT: Final = frozenset({"chat", "lm-arena-chat"})
_GPUS: Final = ("A100", "H100", "B200")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table: GPU energy only, steady state, prefill folded into the output tokens."""

    dataset: str
    model: str
    task: str
    gpu: str
    num_gpus: int
    batch: float
    joules_per_token: Joules
    output_tokens: float
    joules_per_request: Joules
    tokens_per_second: float
    billions: float | None

    @property
    def hardware(self) -> str:
        """Such as `4 x H100`."""
        return f"{self.num_gpus} x {self.gpu}"


class ArticleFigure(msgspec.Struct, frozen=True):
    """One number of the article."""

    what: str
    words: int | None = None
    joules: Joules | None = None
    energy_ratio: float | None = None
    prompt: str | None = None


class Article(msgspec.Struct, frozen=True):
    """What the question that began this says."""

    source: str
    figures: list[ArticleFigure]
    note: str


def load_article() -> Article:
    """The article's figures."""
    return msgspec.json.decode(files(__package__).joinpath("article.json").read_bytes(), type=Article)


@cache
def load_rows() -> tuple[Row, ...]:
    """The whole table."""
    table = json.loads(files(__package__).joinpath("ml_energy.json").read_bytes())
    at = {name: place for place, name in enumerate(table["columns"])}
    return tuple(
        Row(
            dataset=row[at["dataset"]],
            model=row[at["model"]],
            task=row[at["task"]],
            gpu=row[at["gpu"]],
            num_gpus=row[at["num_gpus"]],
            batch=row[at["avg_batch"]],
            joules_per_token=row[at["j_per_token"]],
            output_tokens=row[at["mean_output_tokens"]],
            joules_per_request=row[at["j_per_request"]],
            tokens_per_second=row[at["tok_per_s"]],
            billions=row[at["total_params_b"]] or billions_of(row[at["model"]]),
        )
        for row in table["rows"]
    )


def citation() -> str:
    """Whom to cite for the table."""
    return str(json.loads(files(__package__).joinpath("ml_energy.json").read_bytes())["meta"]["cite"])


def gpu_family(name: str) -> str | None:
    """The family of the table that a card's name belongs to; an H200 is an H100 with more memory."""
    found = re.search(rf"(?:{'|'.join((*_GPUS, 'H200'))})(?!\d)", name)
    return None if found is None else "H100" if found[0] == "H200" else found[0]


def nearest(model: str, devices: Sequence[str], batch: float) -> Row | None:
    """The chat row nearest in model size, then GPU, then batch; None for a model whose size its name does not tell."""
    billions = billions_of(model)
    rows = [row for row in load_rows() if row.task in _CHAT and row.billions]
    if billions is None:
        return None
    families = {gpu_family(device) for device in devices}
    name = model.rsplit("/", 1)[-1].lower()

    def distance(row: Row) -> tuple[float, bool, bool, bool, float]:
        return (
            round(abs(math.log((row.billions or 1.0) / billions)), 1),
            row.model.rsplit("/", 1)[-1].lower() != name,
            gpu_family(row.gpu) not in families,
            row.dataset != "v3",
            abs(math.log(row.batch / batch)),
        )

    return min(rows, key=distance)


def batch_curve(row: Row) -> list[Row]:
    """All rows of the same model, task, cards and data set, by batch."""
    same = [one for one in load_rows() if _series(one) == _series(row)]
    return sorted(same, key=lambda one: one.batch)


def _series(row: Row) -> tuple[str, str, str, str, int]:
    return row.dataset, row.model, row.task, row.gpu, row.num_gpus
