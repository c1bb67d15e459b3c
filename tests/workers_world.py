"""Several workers and the owner of the devices in one process and in virtual time, in the place of one attribution."""

from __future__ import annotations

import random

from jevons.proxy.metering.collector import Collector
from jevons.proxy.metering.contributor import Contributor
from jevons.proxy.metering.shared_counts import SharedCounts


class Workers:
    """As `Attribution` for a player of workloads: every attempt begins at a worker that is drawn."""

    def __init__(self, count: int, *, seed: int = 0) -> None:
        self.owner = Collector()
        self.counts, _ = SharedCounts.create(count)
        self.live = {number: Contributor(self.counts.row(number)) for number in range(count)}
        for number in self.live:
            self.owner.join(number, 0.0)
        self.at: dict[object, int] = {}
        """By work and by account: its worker."""
        self.asleep: set[int] = set()
        """Workers that do not answer."""
        self._random = random.Random(seed)

    @property
    def devices(self):
        return self.owner.devices

    def add_device(self, device):
        self.owner.add_device(device)
        for worker in self.live.values():
            worker.mirror(device, 0.004)

    def add_engine(self, name, coefficients, devices, **options):
        self.owner.add_engine(name, coefficients, devices, **options)
        for worker in self.live.values():
            worker.slots[name] = len(worker.slots)
            worker.add_engine(name, coefficients, devices, **options)

    def begin(self, engine, now, **request):
        number = self._random.choice(list(self.live))
        work = self.live[number].begin(engine, now, **request)
        self.at[work] = self.at[work.account] = number
        self._tell(number)
        return work

    def end(self, engine, work, now):
        number = self.at[work]
        if number in self.live:
            self.live[number].end(engine, work, now)
            self._tell(number)

    def _tell(self, number):
        worker = self.live[number]
        self.owner.take_edges(number, worker.edges)
        worker.edges.clear()

    def energy(self, engine, account):
        return self.live[self.at[account]].energy(engine, account)

    def sample(self, sample):
        self.owner.sample(sample)

    def served(self, engines, served, at):
        return self.owner.served(engines, served, at)

    def settle(self, now):
        dues = self.owner.dues(now)
        for number, worker in self.live.items():
            worker.look(now)
            if number not in self.asleep:
                for engine, index, to in self.owner.take(number, worker.answer(dues, now)):
                    worker.move_statement(engine, index, to)
        finals = []
        for told in self.owner.settle_stated(now):
            for worker in self.live.values():
                finals += worker.take(told)
        return finals

    def kill(self, number, now):
        """A worker dies, and its connections with it."""
        del self.live[number]
        self.counts.clear(number)
        self.owner.leave(number, now)
