"""This worker's places: whoever has fewest requests under way is served next."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque


class FairQueue:
    """``places`` requests at the same time, 0 for any number.

    Among those who wait, the one with the fewest requests under way is next, of
    several the one that has waited longest (max-min fairness): a client that sends
    a thousand at once delays its own, not the others'.
    """

    def __init__(self, places: int) -> None:
        self._places = places
        self._under_way: Counter[str] = Counter()
        self._taken = 0
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    @property
    def waiting(self) -> int:
        """How many wait."""
        return sum(map(len, self._waiting.values()))

    def enter_now(self, who: str) -> bool:
        """Whether there was a place without waiting; then it is ``who``'s."""
        free = not self._places or (self._taken < self._places and not self._waiting)
        if free:
            self._take(who)
        return free

    async def enter(self, who: str) -> None:
        """Returns once ``who`` has a place; to be left with :meth:`leave`, unless cancelled."""
        if self.enter_now(who):
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(who, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave(who)  # it came in the same moment
            else:
                self._give_up(who, turn)
            raise

    def leave(self, who: str) -> None:
        """Give the place to whoever is next."""
        self._taken -= 1
        self._under_way[who] -= 1
        if not self._under_way[who]:
            del self._under_way[who]
        while self._waiting and self._taken < self._places:
            self._admit(min(self._waiting, key=self._under_way.__getitem__))

    def _admit(self, who: str) -> None:
        turns = self._waiting[who]
        turn = turns.popleft()
        if turns:
            self._waiting.move_to_end(who)
        else:
            del self._waiting[who]
        if not turn.done():
            self._take(who)
            turn.set_result(None)

    def _take(self, who: str) -> None:
        self._taken += 1
        self._under_way[who] += 1

    def _give_up(self, who: str, turn: asyncio.Future[None]) -> None:
        turns = self._waiting.get(who)
        if turns is not None and turn in turns:
            turns.remove(turn)
            if not turns:
                del self._waiting[who]
