"""How many prompts are enough: as many as show the difference as often as was asked."""

import math
import random
import statistics

import pytest

from jevons.proxy.errors import JevonsError
from jevons.proxy.study.bootstrap import FEWEST
from jevons.proxy.study.decomposition import PromptPair
from jevons.proxy.study.power import pilot_sd, prompts_needed

T_975 = {26: 2.0595}
"""Student's t for 25 degrees of freedom, from a table."""


def test_the_number_gives_the_power_that_was_asked():
    """Studies of so many prompts see the ratio in 80 % of cases by a t test, within what 4,000 of them can tell."""
    need = prompts_needed(1.25, 0.385)
    assert need.prompts == 26
    dice = random.Random(1)
    seen = 0
    for _ in range(4000):
        logs = [dice.gauss(math.log(1.25), 0.385) for _ in range(need.prompts)]
        error = statistics.stdev(logs) / math.sqrt(need.prompts)
        seen += abs(statistics.fmean(logs)) / error > T_975[need.prompts]
    assert seen / 4000 == pytest.approx(0.8, abs=0.025)


def test_smaller_differences_and_more_scatter_need_more():
    """The number rises as the ratio nears 1, with the scatter, and with the power; above and below 1 are alike."""
    numbers = [prompts_needed(ratio, 0.5).prompts for ratio in (2.0, 1.5, 1.2, 1.05)]
    assert numbers == sorted(numbers)
    assert prompts_needed(1.2, 0.6).prompts > prompts_needed(1.2, 0.5).prompts
    assert prompts_needed(1.2, 0.5, power=0.95).prompts > prompts_needed(1.2, 0.5).prompts
    assert prompts_needed(0.5, 0.7).prompts == prompts_needed(2.0, 0.7).prompts
    assert prompts_needed(100.0, 0.01).prompts == FEWEST


@pytest.mark.parametrize(("ratio", "sd", "changes"), [(1.0, 0.5, {}), (0.0, 0.5, {}), (1.2, -1, {}), (1.2, 1, {"power": 1.0})])
def test_what_cannot_be_planned_is_refused(ratio, sd, changes):
    """No number of prompts shows that there is no difference; a power of 1 is not to be had."""
    with pytest.raises(JevonsError):
        prompts_needed(ratio, sd, **changes)


def test_a_pilot_gives_the_scatter():
    """The standard deviation of the logarithms of the prompts' ratios; two prompts are no pilot."""
    pairs = [PromptPair(str(one), "all", (1.0, math.exp(one)), (1.0, 1.0)) for one in (0, 1, 2)]
    assert pilot_sd(pairs) == pytest.approx(1.0)
    with pytest.raises(JevonsError, match="three at least"):
        pilot_sd(pairs[:2])
