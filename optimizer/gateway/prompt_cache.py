"""Which model holds which conversation in its provider's prompt cache."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Iterator

from providers.chat import Chat
from providers.completion import Completion
from routing.models import CachedConversation

# Providers keep nothing shorter, and nothing for longer, unless asked to.
LEAST_CACHED_TOKENS = 1024
_KEPT_SECONDS = 300.0
_MOST_CONVERSATIONS = 20_000
# These cache by themselves and report it only once they have read from it.
_UNASKED = frozenset({"openai", "gemini"})


class PromptCaches:
    """Remembers who answered, by the conversation's messages so far.

    In this process's memory, and bounded: to forget costs one full-price
    reading of a conversation, nothing else.
    """

    def __init__(self) -> None:
        self._held: OrderedDict[bytes, tuple[float, CachedConversation]] = OrderedDict()

    def find(self, chat: Chat) -> CachedConversation | None:
        """Who holds the longest known beginning of ``chat``, if anyone still does."""
        if len(chat.turns) < 2 or chat.estimated_tokens() < LEAST_CACHED_TOKENS:
            return None
        now = time.monotonic()
        for key in reversed(list(_prefixes(chat))):
            found = self._held.get(key)
            if found is not None and now - found[0] < _KEPT_SECONDS:
                return found[1]
        return None

    def remember(self, chat: Chat, wire: str, answer: Completion) -> None:
        """Remember that the provider of ``answer``, which speaks ``wire``, has read ``chat``."""
        usage = answer.usage
        cached = usage.cache_read_tokens + usage.cache_write_tokens
        if wire in _UNASKED:
            cached = max(cached, usage.input_tokens)
        if cached < LEAST_CACHED_TOKENS:
            return
        *_, key = _prefixes(chat)
        self._held[key] = (
            time.monotonic(),
            CachedConversation(answer.provider, answer.model, cached),
        )
        self._held.move_to_end(key)
        while len(self._held) > _MOST_CONVERSATIONS:
            self._held.popitem(last=False)


def _prefixes(chat: Chat) -> Iterator[bytes]:
    """A digest of each beginning of the conversation, shortest first. Tools come first of all."""
    digest = hashlib.blake2b(repr(chat.tools).encode("utf-8", "replace"), digest_size=16)
    for message in chat.messages:
        digest.update(repr(message).encode("utf-8", "replace"))
        yield digest.digest()
