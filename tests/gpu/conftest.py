"""Tests on a real board: skipped without an NVIDIA device that its driver can open."""

from __future__ import annotations

import pynvml
import pytest


def why_no_device() -> str | None:
    """What NVML says where it cannot be used; None where there is a board."""
    try:
        pynvml.nvmlInit()
        count = pynvml.nvmlDeviceGetCount()
        pynvml.nvmlShutdown()
    except pynvml.NVMLError as error:
        return str(error)
    return None if count else "no board"


@pytest.fixture(scope="session", autouse=True)
def _device() -> None:
    reason = why_no_device()
    if reason is not None:
        pytest.skip(f"needs an NVIDIA device: {reason}")
