"""Remembers how conversations were sent, in the database, where all workers find it."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from functools import partial

from analytics.database.aside import DatabaseThread
from analytics.shortened import shortened_any, shortened_load, shortened_store

logger = logging.getLogger(__name__)
_LOOKED_AGAIN_SECONDS = 60.0


class ConversationMemory:
    """The forms in which conversations were sent.

    ``refresh`` reads the database, so do not call it on the event loop.
    """

    def __init__(self, database: DatabaseThread) -> None:
        self._database = database
        self.any = False
        """Whether a conversation may be known: without one, there is nothing to look for."""
        self._looked_at = float("-inf")

    def refresh(self) -> None:
        """Look whether any conversation is known, if that was long ago."""
        now = time.monotonic()
        if now - self._looked_at >= _LOOKED_AGAIN_SECONDS:
            self.any = shortened_any()
            self._looked_at = now

    async def find(self, conversation: str) -> Mapping[str, str]:
        """Return the forms of a conversation's parts; none if it is not known.

        What cannot be read is sent as it is: that costs a provider's cache, and no answer.
        """
        try:
            return await self._database.run(partial(shortened_load, conversation))
        except Exception as error:
            logger.warning("How a conversation was sent cannot be read", exc_info=error)
            return {}

    async def keep(self, conversation: str, forms: Mapping[str, str]) -> Mapping[str, str]:
        """Store new forms and return those that are stored now: the first to store one wins.

        Only what is stored may be sent: what cannot be, is sent as it is.
        """
        self.any = True
        try:
            return await self._database.run(partial(shortened_store, conversation, forms))
        except Exception as error:
            logger.warning("How a conversation is sent cannot be stored", exc_info=error)
            return {}
