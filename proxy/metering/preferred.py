"""Several ways to read the same boards, in the order of preference: the first that can be opened is the one that is used."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import MeterError, NothingToRead
from .meter import Device, EnergyMeter, HasProblems, MayBeNamed, Sample


class FirstUsable:
    """A meter that is the first of several to open."""

    def __init__(self, name: str, meters: Sequence[EnergyMeter]) -> None:
        self.name = name
        self.used: EnergyMeter | None = None
        """The one that is open."""
        self._meters = meters

    def open(self) -> list[Device]:
        """The devices of the first that opens; raises MeterError with everybody's reason where none does."""
        problems = []
        kind: type[MeterError] = MeterError
        for meter in self._meters:
            try:
                devices = meter.open()
            except MeterError as error:
                problems.append(f"{meter.name}: {error}")
                # The last to be asked knows whether there is anything at all.
                kind = NothingToRead if isinstance(error, NothingToRead) else MeterError
                continue
            self.used = meter
            return devices
        raise kind("; ".join(problems))

    def read(self) -> list[Sample]:
        """What the one that is open reads."""
        return [] if self.used is None else self.used.read()

    @property
    def is_for_named(self) -> bool:
        """Whether each of them is."""
        return all(isinstance(meter, MayBeNamed) and meter.is_for_named for meter in self._meters)

    @property
    def problems(self) -> Sequence[str]:
        """What the one that is open cannot read."""
        return self.used.problems if isinstance(self.used, HasProblems) else ()

    def close(self) -> None:
        """Let go of the one that is open."""
        if self.used is not None:
            self.used.close()
        self.used = None
