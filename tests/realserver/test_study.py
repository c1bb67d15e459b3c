"""A whole study against `transformers serve` on random weights: lengths are imposed, since such a model has none of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from jevons.proxy.study.raw import Raw, read_raw

if TYPE_CHECKING:
    from conftest import Server

pytestmark = [pytest.mark.realserver, pytest.mark.timeout(300)]

SCRIPTS = Path(sys.executable).parent
IMPOSED = {"off": 12, "on": 24}


def study(jevons: Server) -> dict[str, object]:
    """Thinking off and on are two arms of one upstream."""
    return {
        "name": "Random weights",
        "proxy": {"base_url": f"http://127.0.0.1:{jevons.port}", "admin": f"http://127.0.0.1:{jevons.admin_port}"},
        "arms": [
            {"name": name, "model": "tiny", "thinking": name == "on", "impose": {"mean_tokens": tokens}}
            for name, tokens in IMPOSED.items()
        ],
        "limit": 8,
        "concurrency": [1, 3],
        "temperature": 0,
        "max_tokens": 64,
        "warmup_requests": 1,
        "settle_seconds": 2,
        "idle_seconds": 1,
        "pause_seconds": 0.1,
    }


@pytest.fixture(scope="module")
def done(jevons: Server, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Raw]:
    """The command run to its end, and its raw data."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "study.yaml").write_text(yaml.safe_dump(study(jevons)))
    out = folder / "out"
    command = [str(SCRIPTS / "jevons"), "study", "run", str(folder / "study.yaml"), "--out", str(out)]
    finished = subprocess.run(command, check=False, capture_output=True, text=True, timeout=240)
    assert finished.returncode == 0, finished.stderr
    return out, read_raw(out)


def test_every_answer_of_a_real_server_is_in_the_study(done: tuple[Path, Raw]) -> None:
    """Two arms, eight prompts, two levels: all end well, with the server's own counts, which are the imposed lengths."""
    _, raw = done
    assert len(raw.replies) == 2 * 8 * 2
    assert all(reply.is_usable for reply in raw.replies.values())
    assert {(reply.arm, reply.completion_tokens) for reply in raw.replies.values()} == set(IMPOSED.items())
    assert all(reply.imposed_tokens == reply.completion_tokens for reply in raw.replies.values())
    assert all(reply.first_token_seconds is not None for reply in raw.replies.values())


def test_the_report_of_a_real_server_says_what_it_is(done: tuple[Path, Raw]) -> None:
    """The ratio of lengths is the imposed one exactly, and the report says that it was imposed and on a simulated device."""
    out, _ = done
    text = (out / "report.md").read_text()
    assert "**method: simulated**" in text
    assert "**Imposed lengths**" in text
    assert "2.00 (2.00 … 2.00)" in text
    assert (out / "report.html").stat().st_size > 10_000
