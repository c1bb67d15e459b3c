"""How jevons' own verbs read `/metrics`: they measure by it, so they ask for the figures of the moment."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

FRESH: Final[Mapping[str, str]] = MappingProxyType({"cache-control": "no-cache"})
"""Request headers with which the page is rendered anew; else it may be that of up to a second ago."""
SNAPSHOT_TIME: Final = "jevons_snapshot_timestamp_seconds"
"""The metric that says when the figures beside it were taken."""
