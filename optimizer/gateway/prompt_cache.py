"""Remembers which model has which conversation in its provider's prompt cache."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Iterator

from optimizer.domain.client import Client
from optimizer.domain.identifiers import CHAT, Session
from optimizer.domain.turns import COMPACTION, SIDE_KINDS
from providers.chat import Chat, Message, Text
from providers.completion import Completion
from routing.models import CachedConversation

# Providers cache no shorter conversation, and none for longer, unless a request asks for it.
LEAST_CACHED_TOKENS = 1024
_KEPT_SECONDS = 300.0
_MOST_CONVERSATIONS = 20_000
# These providers cache automatically, and report it only when they read from the cache.
UNASKED = frozenset({"openai", "gemini"})


def goes_on(chat: Chat, session: Session, turn: str) -> bool:
    """Return whether a provider should cache ``chat`` for its next turns.

    Writing to Anthropic's cache costs a quarter more than reading, so it pays off only where
    another turn follows: in an agent's session, and in a conversation that has gone on before.
    A client's own marks are left as they are.
    """
    if turn in SIDE_KINDS or turn == COMPACTION:
        return False
    if session.agent == CHAT and not any(m.role == "assistant" for m in chat.messages):
        return False
    if chat.cache is not None or any(tool.cache is not None for tool in chat.tools):
        return False
    return not any(getattr(part, "cache", None) is not None for part in chat.parts())


def cache_session(client: Client, session: Session) -> str:
    """Return the key of a session's conversation, which tells a provider nothing of it."""
    text = f"{client.tenant}\0{session.id}\0{session.sub_agent}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


class PromptCaches:
    """The models that have read a tenant's conversation, by its messages so far.

    A tenant knows its own conversations only: the choice of a model must not show that another
    tenant has sent the same messages. They are kept in this process's memory, in a limited
    number: a forgotten conversation only costs its input once at the full price.
    """

    def __init__(self) -> None:
        self._conversations: OrderedDict[bytes, tuple[float, CachedConversation]] = OrderedDict()

    def find(self, chat: Chat, tenant: str = "") -> CachedConversation | None:
        """Return the model that still has the longest known beginning of ``chat``, if any."""
        if len(chat.turns) < 2 or chat.estimated_tokens() < LEAST_CACHED_TOKENS:
            return None
        now = time.monotonic()
        for key in reversed(list(_prefixes(chat, tenant))):
            entry = self._conversations.get(key)
            if entry is not None and now - entry[0] < _KEPT_SECONDS:
                return entry[1]
        return None

    def remember(
        self, chat: Chat, wire: str, answer: Completion, tenant: str = "", effort: str = ""
    ) -> None:
        """Remember that the model of ``answer`` has read ``chat``; ``wire`` is its API's name.

        ``effort`` is what the model was asked for, which a lever may have lowered.
        """
        usage = answer.usage
        cached = usage.cache_read_tokens + usage.cache_write_tokens
        if wire in UNASKED:
            cached = max(cached, usage.input_tokens)
        if cached < LEAST_CACHED_TOKENS:
            return
        *_, key = _prefixes(chat, tenant)
        self._conversations[key] = (
            time.monotonic(),
            CachedConversation(
                answer.provider,
                answer.model,
                cached,
                effort,
                usage.service_tier,
            ),
        )
        self._conversations.move_to_end(key)
        while len(self._conversations) > _MOST_CONVERSATIONS:
            self._conversations.popitem(last=False)


def _prefixes(chat: Chat, tenant: str) -> Iterator[bytes]:
    """Yield a digest of each beginning of the conversation, shortest first.

    Each includes the tenant, and the tools, which come before all messages.
    """
    start = repr((tenant, chat.tools))
    digest = hashlib.blake2b(start.encode("utf-8", "replace"), digest_size=16)
    for message in chat.messages:
        digest.update(_text(message).encode("utf-8", "replace"))
        yield digest.digest()


def _text(message: Message) -> str:
    """Return a text that only equal messages have; plain ones take a tenth of the time."""
    if not message.name and len(message.parts) == 1:
        part = message.parts[0]
        if type(part) is Text and part.cache is None:
            # The length tells where it ends; to quote a long text takes longer than to digest it.
            return f"{message.role} {len(part.text)} {part.text}"
    return repr(message)
