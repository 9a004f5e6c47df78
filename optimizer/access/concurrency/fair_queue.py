"""A fair queue for places: weighted by tenant, then equal between the keys of a tenant."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import Mapping

PATIENCE_SECONDS = 1.0
"""After so long, a request gets a place beyond the limit if its key has less than its share."""

_Turn = asyncio.Future[None]
_Keys = OrderedDict[str, deque[_Turn]]


class FairQueue:
    """Lets ``places`` requests run at the same time, 0 for any number.

    The next tenant is the one with the fewest requests in progress for its weight (1 if
    ``weights`` has none), then the next key the one of its keys with the fewest; among several,
    the one that has waited longest (weighted max-min fairness). A key without a tenant is a tenant
    of its own. While nobody waits, a key may have all places.

    Places that others already have are not taken from them: an answer may take minutes. So who
    has less than its share (the places by weight among the tenants that run or wait, then equal
    among a tenant's keys) gets a place beyond the limit after :data:`PATIENCE_SECONDS`, and no
    place is given to others until the number is below the limit again. At most twice ``places``
    run at the same time.
    """

    def __init__(self, places: int, weights: Mapping[str, float] | None = None) -> None:
        self._places = places
        self._weights = weights or {}
        self._taken = 0
        self._of_key: Counter[tuple[str, str]] = Counter()
        self._of_tenant: Counter[str] = Counter()
        self._keys: Counter[str] = Counter()
        self._waiting: OrderedDict[str, _Keys] = OrderedDict()

    @property
    def waiting(self) -> int:
        """Return the number of requests that wait."""
        return sum(len(turns) for keys in self._waiting.values() for turns in keys.values())

    def enter_now(self, key: str, tenant: str = "") -> bool:
        """Take a place for ``key`` of ``tenant`` if one is free, and return whether it was."""
        free = not self._places or (self._taken < self._places and not self._waiting)
        if free:
            self._take(key, tenant or key)
        return free

    async def enter(self, key: str, tenant: str = "") -> None:
        """Wait until ``key`` has a place; call :meth:`leave` afterwards, unless cancelled."""
        if self.enter_now(key, tenant):
            return
        tenant = tenant or key
        loop = asyncio.get_running_loop()
        turn: _Turn = loop.create_future()
        self._waiting.setdefault(tenant, OrderedDict()).setdefault(key, deque()).append(turn)

        def insist() -> None:
            nonlocal timer
            if not turn.done():
                if not self._claim(key, tenant, turn):
                    timer = loop.call_later(PATIENCE_SECONDS, insist)

        timer = loop.call_later(PATIENCE_SECONDS, insist)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave(key, tenant)  # the place was granted at the moment of the cancellation
            else:
                self._remove(key, tenant, turn)
            raise
        finally:
            timer.cancel()

    def leave(self, key: str, tenant: str = "") -> None:
        """Free a place of ``key``, and give it to the next request in the queue."""
        tenant = tenant or key
        self._taken -= 1
        self._of_tenant[tenant] -= 1
        self._of_key[tenant, key] -= 1
        if not self._of_key[tenant, key]:
            del self._of_key[tenant, key]
            self._keys[tenant] -= 1
            if not self._of_tenant[tenant]:
                del self._of_tenant[tenant], self._keys[tenant]
        while self._waiting and self._taken < self._places:
            self._admit_next()

    def _admit_next(self) -> None:
        tenant = min(self._waiting, key=lambda name: self._of_tenant[name] / self._weight(name))
        keys = self._waiting[tenant]
        key = min(keys, key=lambda name: self._of_key[tenant, name])
        turn = keys[key][0]
        self._remove(key, tenant, turn)
        # Whoever waits next of these is behind all that have waited as long.
        if key in keys:
            keys.move_to_end(key)
        if tenant in self._waiting:
            self._waiting.move_to_end(tenant)
        if not turn.done():
            self._grant(key, tenant, turn)

    def _claim(self, key: str, tenant: str, turn: _Turn) -> bool:
        """Give a place beyond the limit to a key that has less than its share."""
        if self._taken >= 2 * self._places:
            return False
        active = set(self._of_tenant) | set(self._waiting)
        share = self._places * self._weight(tenant) / sum(map(self._weight, active))
        here = sum((tenant, name) not in self._of_key for name in self._waiting[tenant])
        own_share = share / (self._keys[tenant] + here)
        if self._of_tenant[tenant] >= share or self._of_key[tenant, key] >= own_share:
            return False
        self._remove(key, tenant, turn)
        self._grant(key, tenant, turn)
        return True

    def _weight(self, tenant: str) -> float:
        return self._weights.get(tenant, 1.0)

    def _grant(self, key: str, tenant: str, turn: _Turn) -> None:
        self._take(key, tenant)
        turn.set_result(None)

    def _take(self, key: str, tenant: str) -> None:
        self._taken += 1
        self._of_tenant[tenant] += 1
        self._of_key[tenant, key] += 1
        if self._of_key[tenant, key] == 1:
            self._keys[tenant] += 1

    def _remove(self, key: str, tenant: str, turn: _Turn) -> None:
        keys = self._waiting.get(tenant, OrderedDict())
        turns = keys.get(key)
        if turns is None or turn not in turns:
            return
        turns.remove(turn)
        if not turns:
            del keys[key]
            if not keys:
                del self._waiting[tenant]
