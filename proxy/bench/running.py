"""jevons alone in front of a model server that costs nothing, for measurements other than the comparison with others."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from .load import LoadClient
from .machine import Cores
from .processes import Program, pinned
from .programs import Programs
from .subjects import Place, Subject, jevons_subjects
from .visits import announced_port, free_ports, wait_until_served


@dataclass(frozen=True, slots=True)
class Running:
    """A proxy that serves, with its meter on."""

    subject: Subject
    place: Place
    program: Program
    programs: Programs

    @property
    def load(self) -> LoadClient:
        """What loads it."""
        return self._load_on(self.place.port)

    @property
    def direct(self) -> LoadClient:
        """What loads the model server, past it."""
        return self._load_on(self.place.upstream_port)

    def _load_on(self, port: int) -> LoadClient:
        return LoadClient(self.programs.load, port, self.subject.model, self.place.token, self.place.folder)


@contextmanager
def running(programs: Programs, cores: Cores, upstream: Sequence[str] | None = None) -> Iterator[Running]:
    """Start a metered jevons with a rules policy, in front of the mock or of another `upstream`, and wait until it serves.

    Raises JevonsError where one of them does not start.
    """
    subject = next(one for one in jevons_subjects() if one.is_metered)
    with ExitStack() as stack, pinned(cores.load):
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="jevons-bench-")))
        log = folder / "upstream.log"
        stack.enter_context(Program(list(upstream or [str(programs.mock)]), core=cores.load, log=log))
        place = Place(folder, announced_port(log), *free_ports(), token="sk-bench")  # noqa: S106 - nobody's key
        launch = subject.launch(place) if subject.launch else None
        if launch is None:
            raise RuntimeError("a proxy that cannot be launched")
        program = Program(launch.command, core=cores.proxy, log=folder / "subject.log", environment=launch.environment)
        stack.enter_context(program)
        wait_until_served(subject, place, program)
        yield Running(subject, place, program, programs)
