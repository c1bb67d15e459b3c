"""A stand-in for AMD's `amdsmi` at its Python interface, as of ROCm 6.2 to 7.0: the hardware boundary of the AMD meter's tests.

Put its folder on `sys.path`. What the cards show is in the JSON file that `FAKE_AMDSMI` names, read at every call, so that a
test moves it by writing the file: `{"init": 0, "cards": [{"uuid", "serial", "bdf", "name", "energy", "resolution", "power",
"cap", "fails": {function: status}}]}`. Handles may be used by nobody after `amdsmi_shut_down`, as with the real library.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

OPEN: list[bool] = []


class AmdSmiException(Exception):
    """The root of the real package's exceptions."""


class AmdSmiLibraryException(AmdSmiException):
    """A status of the C library."""

    def __init__(self, err_code):
        super().__init__(err_code)
        self.err_code = err_code

    def get_error_code(self):
        return self.err_code

    def get_error_info(self):
        names = {2: "NOT_SUPPORTED - Feature not supported", 10: "NO_PERM - Permission Denied", 34: "DRIVER_NOT_LOADED"}
        return f"AMDSMI_STATUS_{names.get(self.err_code, 'UNKNOWN_ERROR')}"

    def __str__(self):
        return f"Error code:\n\t{self.err_code} | {self.get_error_info()}"


def _state():
    return json.loads(Path(os.environ["FAKE_AMDSMI"]).read_text())


def _card(handle, function):
    if not OPEN:
        raise AmdSmiLibraryException(32)
    card = _state()["cards"][handle]
    status = card.get("fails", {}).get(function, 0)
    if status:
        raise AmdSmiLibraryException(status)
    return card


def amdsmi_init():
    status = _state().get("init", 0)
    if status:
        raise AmdSmiLibraryException(status)
    OPEN.append(True)


def amdsmi_shut_down():
    OPEN.clear()


def amdsmi_get_processor_handles():
    if not OPEN:
        raise AmdSmiLibraryException(32)
    return list(range(len(_state()["cards"])))


def amdsmi_get_gpu_asic_info(handle):
    card = _card(handle, "asic_info")
    return {"market_name": card.get("name", "N/A"), "asic_serial": card.get("serial", "N/A")}


def amdsmi_get_gpu_device_bdf(handle):
    return _card(handle, "bdf")["bdf"]


def amdsmi_get_energy_count(handle):
    card = _card(handle, "energy_count")
    key = card.get("energy_key", "energy_accumulator")
    return {key: card["energy"], "counter_resolution": card.get("resolution", 15.259), "timestamp": 0}


def amdsmi_get_power_info(handle):
    power = _card(handle, "power_info")["power"]
    return {"current_socket_power": "N/A", "average_socket_power": "N/A", "power_limit": 0, **power}


def amdsmi_get_power_cap_info(handle):
    return {"power_cap": _card(handle, "power_cap_info")["cap"]}
