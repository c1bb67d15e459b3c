"""A proxy under `jevons bench ledger`, and the model server behind it, each a process of its own.

The proxy's last line is its `/metrics` page as it ended: nothing has moved since the ledger was closed, so that the two can be
compared to the last bit.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Final

from ..app import Addresses, App, run_until_signal
from ..config_file import load_config
from ..logs import configure_logs
from ..simulation.physics import LLAMA_3_1_8B
from ..simulation.serving import ServingConfig, serve, write_line

SPEED: Final = 20.0
"""Times that of the accelerator which the physics are of, at the same power."""


async def run_proxy(config: Path) -> None:
    """Serve until SIGTERM; a line with both addresses first, one with the metrics last."""
    app = App(load_config(config, os.environ))

    def announce(addresses: Addresses) -> None:
        write_line(json.dumps({"main": addresses.main, "admin": addresses.admin}))

    await run_until_signal(app, announce)
    page, _ = app.exporter.render()
    write_line(json.dumps({"page": page.decode()}))


def main(arguments: list[str]) -> None:
    """`proxy CONFIG`, or `server GPU-FILE`."""
    role, path = arguments
    if role == "proxy":
        configure_logs("warning")
        asyncio.run(run_proxy(Path(path)))
    else:
        asyncio.run(serve(ServingConfig(gpu=Path(path), model="simulated-8b", physics=LLAMA_3_1_8B.faster(SPEED))))


if __name__ == "__main__":
    main(sys.argv[1:])
