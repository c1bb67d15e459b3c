"""How many prompts a study needs to see a given difference. Pure.

For a paired comparison of logarithms: `n = ((z(1 - alpha/2) + z(power)) sd / ln(ratio))^2 + z(1 - alpha/2)^2 / 2`, where the last
term stands for Student's t in place of the normal (Guenther, The American Statistician 35, 1981, 243-244).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ..errors import JevonsError
from .bootstrap import FEWEST
from .decomposition import PromptPair

ALPHA: Final = 0.05
POWER: Final = 0.8


@dataclass(frozen=True, slots=True)
class Need:
    """So many prompts show a ratio that differs from 1 by at least this factor, with that power."""

    ratio: float
    sd: float
    alpha: float
    power: float
    prompts: int


def prompts_needed(ratio: float, sd: float, *, alpha: float = ALPHA, power: float = POWER) -> Need:
    """How many; at least as many as an interval asks for. `sd` is that of the logarithm of a prompt's ratio.

    Raises JevonsError where no number of prompts could do.
    """
    if ratio <= 0 or ratio == 1:
        raise JevonsError(f"--ratio {ratio:g}: give a ratio above 0 that is not 1, such as 1.2 for 20 % more")
    if sd < 0 or not 0 < alpha < 1 or not 0 < power < 1:
        raise JevonsError("sd must not be negative, alpha and power lie between 0 and 1")
    z_alpha, z_power = (statistics.NormalDist().inv_cdf(share) for share in (1 - alpha / 2, power))
    exact = ((z_alpha + z_power) * sd / math.log(ratio)) ** 2 + z_alpha**2 / 2
    return Need(ratio, sd, alpha, power, max(FEWEST, math.ceil(exact)))


def pilot_sd(pairs: Sequence[PromptPair]) -> float:
    """The standard deviation of the logarithm of the energy ratio, from prompts that two arms answered."""
    if len(pairs) < 3:  # noqa: PLR2004 - two give one degree of freedom, which is no estimate
        raise JevonsError(f"a pilot of {len(pairs)} paired prompts says too little: three at least, better ten")
    return statistics.stdev(math.log(pair.joules[1] / pair.joules[0]) for pair in pairs)
