"""What a worker is greeted with."""

import socket

from jevons.proxy.config import Config
from jevons.proxy.metering.statements import Model
from jevons.proxy.workers.messages import Engines, EngineTold, Welcome
from jevons.proxy.workers.setting import pack

MODEL = Model((1.0, 0.1, 0.0, 0.01), tuple((0.1,) * 4 for _ in range(4)), is_estimated=False)
ENGINES = Engines((EngineTold("chat", 0, (), (0.4, 0.4, 0.4, 0.4), MODEL),), ())


def config(**more):
    """One upstream at which nobody is."""
    upstream = {"name": "chat", "url": "http://127.0.0.1:9/v1", "model": "m"}
    return Config.model_validate({"upstreams": [upstream], "drain_seconds": 1, **more})


def welcome(port, number=0, workers=1, **more):
    """To a worker that listens there."""
    return Welcome(number, workers, "127.0.0.1", port, "error", wants_records=False, setting=pack(config(**more), None, ENGINES))


def taken_port():
    """A socket that listens, and shares its address with nobody."""
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    return taken
