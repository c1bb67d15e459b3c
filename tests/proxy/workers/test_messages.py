"""Every message arrives as it was sent."""

from typing import get_args

import msgspec
import pytest

from jevons.proxy.holdout import PairSums
from jevons.proxy.metering.meter import Device
from jevons.proxy.metering.statements import Due, Model
from jevons.proxy.observed import Intensity, LineState, ServerState
from jevons.proxy.workers import messages

MODEL = Model((1.0, 2.0, 3.0, 4.0), ((1.0,),), is_estimated=False)
ENGINES = messages.Engines(
    (messages.EngineTold("m", 0, ("GPU",), (0.4, 0.3, 0.3, 0.2), MODEL),),
    (messages.DeviceTold(Device("GPU", "virtual", quality=frozenset({"coarse"}), aliases=("a",)), 0.004),),
)
SAMPLES = [
    messages.Welcome(1, 2, "127.0.0.1", 80, "info", wants_records=True, setting=messages.Setting(b"c", b"k", ENGINES)),
    ENGINES,
    messages.Surroundings({"m": None}, {"m": "vllm"}, {"GPU": 1.0}, Intensity(1.0, "file", 2.0)),
    messages.Call((Due(("m",), 4),)),
    messages.Moved((("m", 1, 2),)),
    messages.Others({"all/": (3, 4.0)}),
    messages.Passed(
        1,
        ((0, ("m", "ok"), 1.0, ()), (5, ("m",), 2.0, (1, 0))),
        used={"h": (1, 2.0, 3.0)},
        servers=(ServerState("m", 0.0, 1),),
        lines=(LineState("m", 1, 2, 3, 4),),
    ),
    messages.Sampled(1, 2.0, (("direct", 1.0, 2.0),), PairSums(1, 1.0, 2.0)),
    messages.Remembered(b"\xff", None),
    messages.Edges((("m", 1.0, True),)),
]


@pytest.mark.parametrize("message", SAMPLES, ids=lambda message: type(message).__name__)
def test_there_and_back(message):
    """By the union that its receiver decodes."""
    union = messages.ToWorker if type(message) in get_args(messages.ToWorker) else messages.ToOwner
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(message), type=union) == message
