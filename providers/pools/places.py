"""Calls that wait for a place while all members of a pool have as many calls as they may."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

from providers.errors import MembersBusy
from providers.pools.member import Member

Take = Callable[[], Member]
"""Takes a place of a member. Raises :class:`MembersBusy`, and what choosing one raises."""
_LOOK_AGAIN_SECONDS = 1.0
"""A member that was spared may be called again without a place becoming free."""


class Places(Protocol):
    """The places of a pool's limited members over all workers; none may be taken twice."""

    async def take(self, member: str, most: int) -> bool:
        """Take one of ``most`` places of a member; return whether one was free."""
        ...

    def free(self, member: str) -> None:
        """Give a place back without waiting; the pool is told once other calls may take it."""
        ...


class WaitingCalls:
    """The calls that wait, the one that has waited longest first."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Take, asyncio.Future[Member]]] = deque()

    async def take(self, take: Take, seconds: float, give_back: Callable[[Member], None]) -> Member:
        """Return the member of which a place was taken within ``seconds``.

        If this call is cancelled when a place was just given to it, ``give_back`` gets its member.
        Raises what ``take`` does.
        """
        try:
            return take()
        except MembersBusy:
            if seconds <= 0:
                raise
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        place: asyncio.Future[Member] = loop.create_future()
        entry = (take, place)
        self._waiting.append(entry)
        try:
            while True:
                left = until - loop.time()
                await asyncio.wait({place}, timeout=min(max(left, 0.0), _LOOK_AGAIN_SECONDS))
                if place.done():
                    return place.result()
                try:
                    return take()
                except MembersBusy:
                    if left <= 0:
                        raise
        except asyncio.CancelledError:
            if place.done() and place.exception() is None:
                give_back(place.result())
            raise
        finally:
            if not place.done():
                self._waiting.remove(entry)

    def hand_on(self) -> None:
        """Give the place that became free to the first waiting call that may have it."""
        for entry in list(self._waiting):
            take, place = entry
            try:
                member = take()
            except MembersBusy:
                continue
            except Exception as error:  # noqa: BLE001 - it is the waiting call's
                place.set_exception(error)
                self._waiting.remove(entry)
            else:
                place.set_result(member)
                self._waiting.remove(entry)
                return
