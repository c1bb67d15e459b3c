"""Logs: one line of JSON per event on stderr, and never a prompt in one."""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import msgspec
import structlog

STANDARD_ERROR: Final = 2


class LineSink(io.FileIO):
    """Standard error, unbuffered. A line that cannot be written is lost: a full disk or a closed pipe must not stop traffic."""

    def __init__(self) -> None:
        if sys.stderr is None:  # closed before we started; its number may be a socket's by now
            super().__init__(os.devnull, "wb")
        else:
            super().__init__(STANDARD_ERROR, "wb", closefd=False)

    def write(self, line: Any) -> int:
        """Write what can be written."""
        with suppress(OSError):
            super().write(line)
        return len(line)


class FromLibraries(logging.Handler):
    """What libraries say through `logging` becomes such a line, too."""

    def emit(self, record: logging.LogRecord) -> None:
        """Pass it on."""
        log = structlog.get_logger()
        level = min(record.levelno // 10 * 10, logging.CRITICAL)  # libraries may have levels of their own, structlog has five
        log.log(level, record.getMessage(), logger=record.name, exc_info=record.exc_info)


def configure_logs(level: str) -> None:
    """Set the process's logging up, from this level on; libraries are heard from `warning` on."""
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_encode),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.BytesLoggerFactory(LineSink()),
    )
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[FromLibraries()])


def _encode(event: object, default: Callable[[Any], Any]) -> bytes:
    return msgspec.json.encode(event, enc_hook=default)
