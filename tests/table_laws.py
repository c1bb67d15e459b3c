"""The power laws of the table's terms, fitted anew: to all rows, or for one row to those of all other models."""

import math
import re

import numpy as np

from jevons.proxy.metering.coefficients import CARDS, PowerLaw, active_billions_of, load_fits

_COUNTS_EXPERTS_ONLY = r"-\d+e(-|$)"
"""Such a name says how many experts there are, and not how many parameters they have."""


def tells_its_size(row):
    """Whether the name has the model's whole size."""
    return re.search(_COUNTS_EXPERTS_ONLY, row.model.lower()) is None


def family(row):
    """A model and its quantised weights are one: neither foretells the other."""
    return row.model.rsplit("/", 1)[-1].lower().removesuffix("-fp8").removeprefix("meta-")


def card_of(row):
    """The mark of the card."""
    return next(card.mark for card in CARDS if card.mark in row.gpu)


def describe(row):
    """What the laws go by."""
    total, active = row.billions, min(row.billions, active_billions_of(row.model))
    return [1.0, math.log(total), math.log(total / active), *(float(card_of(row) == mark) for mark in ("A100", "B200"))]


def fit_law(term, without=None):
    """Least squares of logarithms through the rows whose names tell their size, and that are not of one family."""
    rows = [row for row in load_fits() if tells_its_size(row) and (without is None or family(row) != family(without))]
    found, *_ = np.linalg.lstsq(np.array([describe(row) for row in rows]), np.log([term(row) for row in rows]), rcond=None)
    joules, by_size, by_experts, old, new = found.tolist()
    return PowerLaw(math.exp(joules), by_size, by_experts, {"A100": math.exp(old), "B200": math.exp(new)})


def foretell(row, term):
    """One row's term, by the rows of all other models."""
    active = min(row.billions, active_billions_of(row.model))
    return fit_law(term, row).at(row.billions, active, card_of(row))


def fixed(row):
    """F."""
    return row.joules_per_step


def token(row):
    """The per-token term."""
    return row.token_joules
