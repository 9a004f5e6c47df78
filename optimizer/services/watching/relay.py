"""Between workers: what one of them records, the others hear of, over Redis."""

from __future__ import annotations

import asyncio
import json
import logging
import time
import uuid
from collections.abc import Callable

from optimizer.services.shared_store import SECONDS, connect, in_time
from optimizer.services.watching.happening import Happening

logger = logging.getLogger(__name__)

_CHANNEL = "happenings"
_NOBODY_SECONDS = 1.0
"""While nobody listens, it is asked no more often than this."""
_MOST_WAITING = 2_000
_TOGETHER = 200


class Relay:
    """``tell`` costs nothing while nobody watches anywhere; ``heard`` is given what other
    workers tell while this one listens. A Redis that is away is said once: watching is no
    reason to hold up what is watched."""

    def __init__(self, redis_url: str, heard: Callable[[list[Happening]], None]) -> None:
        from redis.exceptions import RedisError

        self._trouble = (RedisError, OSError)  # TimeoutError is one of the latter
        self._redis = connect(redis_url)
        self._heard = heard
        self._own = uuid.uuid4().hex
        self._waiting: list[Happening] = []
        self._nobody_until = 0.0
        self._away = False
        self._telling: asyncio.Task[None] | None = None
        self._listening: asyncio.Task[None] | None = None

    @property
    def idle(self) -> bool:
        """Whether nobody listened when it was last asked, a moment ago."""
        return time.monotonic() < self._nobody_until

    def tell(self, happening: Happening) -> None:
        """Pass it on soon; what cannot be passed on in time is dropped."""
        if self.idle or len(self._waiting) >= _MOST_WAITING:
            return
        self._waiting.append(happening)
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._pass_on())

    def listen(self) -> None:
        if self._listening is None:
            self._listening = asyncio.create_task(self._listen())

    def stop_listening(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
            self._listening = None

    async def aclose(self) -> None:
        tasks = [task for task in (self._telling, self._listening) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._redis.aclose()

    async def _pass_on(self) -> None:
        while self._waiting:
            told, self._waiting = self._waiting[:_TOGETHER], self._waiting[_TOGETHER:]
            message = json.dumps({"from": self._own, "told": told})
            try:
                listeners = await in_time(self._redis.publish(_CHANNEL, message))
                self._away = False
            except self._trouble as error:
                self._say_away(error)
                listeners = 0
            # This worker hears what it tells itself, if anybody here watches.
            if listeners - (self._listening is not None) <= 0:
                self._waiting = []
                self._nobody_until = time.monotonic() + _NOBODY_SECONDS

    async def _listen(self) -> None:
        while True:
            try:
                async with self._redis.pubsub(ignore_subscribe_messages=True) as channel:
                    await in_time(channel.subscribe(_CHANNEL))
                    while True:
                        message = await channel.get_message(timeout=None)
                        if message is not None:
                            self._take(message["data"])
            except self._trouble as error:
                self._say_away(error)
                await asyncio.sleep(SECONDS)

    def _take(self, data: bytes) -> None:
        message = json.loads(data)
        if message["from"] != self._own:
            self._heard(message["told"])

    def _say_away(self, error: Exception) -> None:
        if not self._away:
            logger.warning(
                "Other workers' requests are not shown live: Redis cannot be reached (%s)",
                type(error).__name__,
            )
        self._away = True
