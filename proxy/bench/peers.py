"""LLM gateways of others, each from its registry into a virtual environment of its own.

They run with their defaults but for what would make them do more than jevons does here: request logs off, the routers' cheapest
balancing policy.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..errors import JevonsError
from .subjects import MODEL, Launch, Place, Subject

INSTALL_SECONDS: Final = 1800.0


@dataclass(frozen=True, slots=True)
class Peer:
    """A gateway that pip can install."""

    name: str
    title: str
    requirement: str
    program: str
    """Its command, in `bin/`."""
    package: str
    """Whose version it is."""
    launch: Callable[[str, Place], Launch]


def find_peer(peer: Peer, folder: Path) -> Subject:
    """The one installed in `folder`, else the one on the PATH. Raises JevonsError where there is neither."""
    own = folder / peer.name / "bin" / peer.program
    program = str(own) if own.exists() else shutil.which(peer.program)
    if program is None:
        raise JevonsError(f"{peer.name} is not installed (--peers installs it)")
    return Subject(peer.name, peer.title, _version(Path(program), peer.package), lambda place: peer.launch(program, place))


def install_peer(peer: Peer, folder: Path) -> None:
    """Install it into `folder`, unless it is there. Raises JevonsError with pip's last line where that fails."""
    target = folder / peer.name
    if (target / "bin" / peer.program).exists():
        return
    shutil.rmtree(target, ignore_errors=True)
    environment = [sys.executable, "-m", "venv", "--without-pip", str(target)]
    pip = [sys.executable, "-m", "pip", "--python", str(target / "bin" / "python"), "--disable-pip-version-check", "--quiet"]
    for command in (environment, [*pip, "install", peer.requirement]):
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=INSTALL_SECONDS)  # noqa: S603 - ours
        except subprocess.TimeoutExpired:
            raise JevonsError(f"{peer.name} could not be installed in {INSTALL_SECONDS:g} s") from None
        if done.returncode != 0:
            shutil.rmtree(target, ignore_errors=True)
            reason = (done.stderr or done.stdout).strip().splitlines()[-1:]
            raise JevonsError(f"{peer.name} could not be installed: {''.join(reason)}")


def _version(program: Path, package: str) -> str:
    python = program.resolve().with_name("python")
    if not python.exists():
        return "unknown"
    code = f"from importlib.metadata import version; print(version({package!r}))"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=False).stdout.strip() or "unknown"  # noqa: S603 - ours


def _router(program: str, place: Place, *words: str) -> Launch:
    listener = ["--host", "127.0.0.1", "--port", str(place.port)]
    metrics = ["--prometheus-host", "127.0.0.1", "--prometheus-port", str(place.extra_port)]
    options = ["--worker-urls", place.upstream, "--policy", "round_robin", "--log-level", "error"]
    return Launch([program, *words, *listener, *metrics, *options])


def _vllm_router(program: str, place: Place) -> Launch:
    return _router(program, place)


def _sglang_router(program: str, place: Place) -> Launch:
    return _router(program, place, "launch")


def _litellm(program: str, place: Place) -> Launch:
    config = place.folder / "litellm.yaml"
    config.write_text(
        f"model_list:\n  - model_name: {MODEL}\n    litellm_params:\n"
        f'      {{model: openai/{MODEL}, api_base: "{place.upstream}/v1", api_key: none}}\n'
    )
    command = [program, "--config", str(config), "--host", "127.0.0.1", "--port", str(place.port), "--num_workers", "1"]
    environment = {
        "LITELLM_MASTER_KEY": place.token,
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # it would fetch its list of prices at every start
        "LITELLM_LOG": "ERROR",
    }
    return Launch(command, environment)


PEERS: Final = (
    Peer("vllm-router", "vllm-router", "vllm-router", "vllm-router", "vllm-router", _vllm_router),
    Peer("sglang-router", "sglang-router", "sglang-router", "sglang-router", "sglang-router", _sglang_router),
    Peer("litellm", "LiteLLM proxy", "litellm[proxy]>=1.83.14", "litellm", "litellm", _litellm),
)
