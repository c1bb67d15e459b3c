"""The collector of cycles, set for a process that makes many objects and hardly a cycle.

A request's objects live until its energy has settled, half a second or so: at Python's defaults they are walked over again and
again by young collections that find nothing, and after some hundred requests by one of everything, records included, which
takes 20 ms and more and holds all streams up: 46 % of the loop's time under the benchmark's JSON requests. Reference counts free
what a request leaves behind (tests/proxy/test_garbage.py asks for that); cycles are left by errors, and by the slow path. So
collections are made rare.

What sets one off is how many objects more were made than freed, and once the store of records is full every request frees as many
as it makes: the count wavers about nothing while the young, which a collection walks over, are all that came since the last one.
At 10,000 that was 13 % of the processor's time under load, in few long stops; a count that wavers does not come to 50,000.
"""

from __future__ import annotations

import gc
import sys
from typing import Final

from .units import Seconds

YOUNG_OBJECTS: Final = 50_000
"""So many more made than freed. Cycles that nobody uses any more take no more memory than so many objects."""
YOUNG_PER_MIDDLE: Final = 1
"""What survives is walked over once more, together with what survived the young collection before."""
MIDDLE_PER_FULL: Final = 500
"""And, as CPython has it, a full one only when what has survived since the last is a quarter of all."""

SWITCH_SECONDS: Final[Seconds] = 0.0002
"""How long a thread that parses a large body may keep the event loop from its turn; Python's default is 5 ms."""


def settle_down() -> None:
    """What has been made at the start stays: collect once, set it aside, and collect seldom from now on."""
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.set_threshold(YOUNG_OBJECTS, YOUNG_PER_MIDDLE, MIDDLE_PER_FULL)
