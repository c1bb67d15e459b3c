"""What policies remember, where a client's next request may come to another worker: told to all, and used as one's own."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from jevons.policies.budget import Balances, Budget, Window
from jevons.policies.session import Sessions

from ..affinity import ResponseAffinity
from ..units import Joules


class SharedAffinity(ResponseAffinity):
    """Which upstream holds a response, whichever worker has served it. `tell` is told of those served here."""

    def __init__(self, tell: Callable[[str, str, str | None], None]) -> None:
        super().__init__()
        self._tell = tell

    def remember(self, response_id: str, upstream: str, server: str | None = None) -> None:
        """A response came from this upstream."""
        super().remember(response_id, upstream, server)
        self._tell(response_id, upstream, server)

    def hear(self, response_id: str, upstream: str, server: str | None) -> None:
        """One came to another worker."""
        super().remember(response_id, upstream, server)


class SharedSessions(Sessions):
    """Conversations that reason. `tell` is told of those that were remembered here."""

    def __init__(self, tell: Callable[[bytes], None]) -> None:
        super().__init__()
        self._tell = tell

    def remember(self, key: bytes) -> None:
        """It does, now."""
        super().remember(key)
        self._tell(key)

    def hear(self, key: bytes) -> None:
        """One does at another worker."""
        super().remember(key)


class SharedBalances(Balances):
    """Budgets of which others use a part: as they last said, a tenth of a second ago or so.

    What two workers admit within that time they admit without knowing of each other. A budget can so be exceeded by what is
    admitted in a tenth of a second at the other workers, and by no more.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        super().__init__(clock)
        self._others: Mapping[str, tuple[int, Joules]] = {}
        self._told: dict[str, tuple[int, Joules, Joules]] = {}

    def used(self, holder: str, window: Window) -> Joules:
        """What is spent or reserved in this window, here and elsewhere."""
        number, joules = self._others.get(holder, (-1, 0.0))
        return super().used(holder, window) + (joules if number == self._window(window) else 0.0)

    def holders(self, budget: Budget) -> list[str]:
        """Those with an account of this budget in the window that runs, here or elsewhere."""
        now, begin = self._window(budget.window), f"{budget.name}/"
        others = [holder for holder, (number, _) in self._others.items() if number == now and holder.startswith(begin)]
        return list(dict.fromkeys([*super().holders(budget), *others]))

    def hear(self, used: Mapping[str, tuple[int, Joules]]) -> None:
        """What others use, by holder: the window's number, and joules."""
        self._others = used

    def take_changes(self) -> dict[str, tuple[int, Joules, Joules]]:
        """What has changed of ours since this was last asked, by holder: the window's number, joules spent, joules reserved."""
        now = {holder: (each.window, each.spent, each.reserved) for holder, each in self._accounts.items()}
        changed = {holder: state for holder, state in now.items() if self._told.get(holder) != state}
        self._told = now
        return changed


class Uses:
    """The owner's sum of what the workers use of budgets."""

    def __init__(self) -> None:
        self._by_member: dict[int, dict[str, tuple[int, Joules, Joules]]] = {}
        self._gone: dict[str, tuple[int, Joules]] = {}

    def take(self, member: int, changed: Mapping[str, tuple[int, Joules, Joules]]) -> None:
        """One worker's word."""
        self._by_member.setdefault(member, {}).update(changed)

    def leave(self, member: int) -> None:
        """It is gone: what it had reserved is charged as reserved, since nobody will say what it was."""
        for holder, (window, spent, reserved) in self._by_member.pop(member, {}).items():
            before, joules = self._gone.get(holder, (window, 0.0))
            if window >= before:
                self._gone[holder] = (window, spent + reserved + (joules if window == before else 0.0))

    def total(self) -> dict[str, tuple[int, Joules]]:
        """What all of them use."""
        return self.for_member(-1)

    def for_member(self, member: int) -> dict[str, tuple[int, Joules]]:
        """What the others use, of the latest window that any of them knows."""
        found = dict(self._gone)
        for number, uses in self._by_member.items():
            if number == member:
                continue
            for holder, (window, spent, reserved) in uses.items():
                before, joules = found.get(holder, (window, 0.0))
                if window >= before:
                    found[holder] = (window, spent + reserved + (joules if window == before else 0.0))
        return found
