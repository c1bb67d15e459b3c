"""A configuration on its way to the workers, and what one worker makes of it."""

from __future__ import annotations

import pickle
from dataclasses import replace

from ..config import Config, to_upstreams
from ..exchange import Upstream
from ..keys import Keys
from .messages import Engines, Setting


def pack(config: Config, keys: Keys | None, engines: Engines) -> Setting:
    """As it is sent: through a socket pair that nobody else has an end of."""
    return Setting(pickle.dumps(config), pickle.dumps(keys), engines)


def unpack(setting: Setting) -> tuple[Config, Keys | None]:
    """What the owner has read and checked."""
    config, keys = pickle.loads(setting.config), pickle.loads(setting.keys)  # noqa: S301 - from our own parent
    if not isinstance(config, Config) or not (keys is None or isinstance(keys, Keys)):
        raise TypeError("not a configuration")
    return config, keys


def own_upstreams(config: Config, number: int, workers: int) -> list[Upstream]:
    """The upstreams with this worker's part of the requests that each may have at once: one at the least."""
    found = []
    for upstream in to_upstreams(config):
        at_once = upstream.capacity.at_once
        if at_once is not None:
            part = max(1, at_once // workers + (number < at_once % workers))
            upstream = replace(upstream, capacity=replace(upstream.capacity, at_once=part))  # noqa: PLW2901 - it is that one
        found.append(upstream)
    return found
