"""A publish/subscribe channel between workers, over Redis."""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from optimizer.shared.log_once import LogOnce
from optimizer.shared.redis import SECONDS, connect, in_time

logger = logging.getLogger(__name__)


class Channel:
    """Publishes messages to other workers, and receives theirs.

    ``on_message`` is called with the messages of other workers while this one listens.
    ``on_joining`` is awaited each time the subscription starts. If Redis cannot be reached,
    this is logged once, starting with the text ``loss``, and tried again.
    """

    def __init__(
        self,
        redis_url: str,
        name: str,
        on_message: Callable[[Any], None],
        loss: str,
        on_joining: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        from redis.exceptions import RedisError

        self.errors = (RedisError, OSError)  # TimeoutError is an OSError
        self.redis = connect(redis_url)
        # Unlike stored keys, messages reach all databases of a Redis. The name contains the
        # database, so that installations on other databases do not receive them.
        database = self.redis.get_connection_kwargs().get("db") or 0
        self._name = f"optimizer:{database}:{name}"
        self._on_message = on_message
        self._loss = loss
        self._on_joining = on_joining
        self._own_id = uuid.uuid4().hex
        self._unreachable = LogOnce(logger)
        self.joined = False
        """Whether the subscription is active."""
        self._listening: asyncio.Task[None] | None = None

    @property
    def listens(self) -> bool:
        """Whether this worker has started to listen."""
        return self._listening is not None

    async def publish(self, content: Any) -> int:
        """Send ``content`` and return how many other workers received it.

        Returns 0 if Redis cannot be reached.
        """
        # Workers of before and after an upgrade understand each other by these keys.
        message = json.dumps({"from": self._own_id, "told": content})
        try:
            listeners = int(await in_time(self.redis.publish(self._name, message)))
        except self.errors as error:
            self.log_unreachable(error)
            return 0
        self._unreachable.resolved()
        return listeners - self.listens

    async def others(self) -> int:
        """Return how many other workers listen. Raises one of :attr:`errors`."""
        counts = await in_time(self.redis.pubsub_numsub(self._name))
        return int(counts[0][1]) - self.listens

    def listen(self) -> None:
        """Start to receive messages; do nothing if already listening."""
        if self._listening is None:
            self._listening = asyncio.create_task(self._listen())

    def stop_listening(self) -> None:
        """Stop receiving messages."""
        if self._listening is not None:
            self._listening.cancel()
            self._listening = None

    async def aclose(self) -> None:
        """Stop listening, and close the connection to Redis."""
        listening = self._listening
        self.stop_listening()
        if listening is not None:
            await asyncio.gather(listening, return_exceptions=True)
        await self.redis.aclose()

    def log_unreachable(self, error: Exception) -> None:
        """Log that Redis cannot be reached, once until it can be reached again."""
        kind = type(error).__name__
        self._unreachable.log("%s: Redis cannot be reached (%s)", self._loss, kind)

    async def _listen(self) -> None:
        while True:
            try:
                async with self.redis.pubsub(ignore_subscribe_messages=True) as channel:
                    await in_time(channel.subscribe(self._name))
                    if self._on_joining is not None:
                        await self._on_joining()
                    self.joined = True
                    self._unreachable.resolved()
                    while True:
                        message = await channel.get_message(timeout=None)
                        if message is not None:
                            self._receive(message["data"])
            except self.errors as error:
                self.joined = False
                self.log_unreachable(error)
                await asyncio.sleep(SECONDS)

    def _receive(self, data: bytes) -> None:
        message = json.loads(data)
        if message["from"] != self._own_id:
            self._on_message(message["told"])
