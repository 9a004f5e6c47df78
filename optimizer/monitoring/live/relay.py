"""Between workers: what one of them records, the others hear of."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from optimizer.monitoring.live.request_event import Happening
from optimizer.shared.redis_channel import Channel

_NOBODY_SECONDS = 1.0
"""While nobody listens, it is asked no more often than this."""
_MOST_WAITING = 2_000
_TOGETHER = 200


class Relay:
    """``tell`` costs nothing while nobody watches anywhere; ``heard`` is given what other
    workers tell while this one listens. What cannot be told is dropped: watching is no
    reason to hold up what is watched.
    """

    def __init__(self, redis_url: str, heard: Callable[[list[Happening]], None]) -> None:
        self._channel = Channel(
            redis_url, "happenings", heard, "Other workers' requests are not shown live"
        )
        self._waiting: list[Happening] = []
        self._nobody_until = 0.0
        self._telling: asyncio.Task[None] | None = None

    @property
    def idle(self) -> bool:
        """Whether nobody listened when it was last asked, a moment ago."""
        return time.monotonic() < self._nobody_until

    def publish(self, event: Happening) -> None:
        """Pass it on soon; what cannot be passed on in time is dropped."""
        if self.idle or len(self._waiting) >= _MOST_WAITING:
            return
        self._waiting.append(event)
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._pass_on())

    def listen(self) -> None:
        self._channel.listen()

    def stop_listening(self) -> None:
        self._channel.stop_listening()

    async def aclose(self) -> None:
        if self._telling is not None:
            self._telling.cancel()
            await asyncio.gather(self._telling, return_exceptions=True)
        await self._channel.aclose()

    async def _pass_on(self) -> None:
        while self._waiting:
            told, self._waiting = self._waiting[:_TOGETHER], self._waiting[_TOGETHER:]
            if await self._channel.say(told) <= 0:
                self._waiting = []
                self._nobody_until = time.monotonic() + _NOBODY_SECONDS
