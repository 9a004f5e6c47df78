"""A channel between workers, over Redis: what one of them says, the others hear."""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from optimizer.shared.redis import SECONDS, connect, in_time

logger = logging.getLogger(__name__)


class Channel:
    """``heard`` is given what other workers say while this one listens; ``on_joining`` is awaited
    each time it begins to. A Redis that is away is said once, as ``loss``, and tried again.
    """

    def __init__(
        self,
        redis_url: str,
        name: str,
        heard: Callable[[Any], None],
        loss: str,
        on_joining: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        from redis.exceptions import RedisError

        self.trouble = (RedisError, OSError)  # TimeoutError is one of the latter
        self.redis = connect(redis_url)
        # What is said crosses databases, unlike what is kept: whoever has another one shares
        # the Redis with us and nothing else.
        database = self.redis.get_connection_kwargs().get("db") or 0
        self._name = f"optimizer:{database}:{name}"
        self._heard = heard
        self._loss = loss
        self._on_joining = on_joining
        self._own = uuid.uuid4().hex
        self._away = False
        self.joined = False
        """Whether it hears now what others say."""
        self._listening: asyncio.Task[None] | None = None

    @property
    def listens(self) -> bool:
        return self._listening is not None

    async def say(self, told: Any) -> int:
        """How many workers heard it, this one not counted; none while Redis is away."""
        message = json.dumps({"from": self._own, "told": told})
        try:
            listeners = int(await in_time(self.redis.publish(self._name, message)))
        except self.trouble as error:
            self.say_away(error)
            return 0
        self._away = False
        return listeners - self.listens

    def listen(self) -> None:
        if self._listening is None:
            self._listening = asyncio.create_task(self._listen())

    def stop_listening(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
            self._listening = None

    async def aclose(self) -> None:
        listening = self._listening
        self.stop_listening()
        if listening is not None:
            await asyncio.gather(listening, return_exceptions=True)
        await self.redis.aclose()

    def say_away(self, error: Exception) -> None:
        if not self._away:
            logger.warning("%s: Redis cannot be reached (%s)", self._loss, type(error).__name__)
        self._away = True

    async def _listen(self) -> None:
        while True:
            try:
                async with self.redis.pubsub(ignore_subscribe_messages=True) as channel:
                    await in_time(channel.subscribe(self._name))
                    if self._on_joining is not None:
                        await self._on_joining()
                    self.joined, self._away = True, False
                    while True:
                        message = await channel.get_message(timeout=None)
                        if message is not None:
                            self._take(message["data"])
            except self.trouble as error:
                self.joined = False
                self.say_away(error)
                await asyncio.sleep(SECONDS)

    def _take(self, data: bytes) -> None:
        message = json.loads(data)
        if message["from"] != self._own:
            self._heard(message["told"])
