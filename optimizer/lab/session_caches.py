"""What would lie in providers' prompt caches as the sessions of the log go on under a policy.

A turn finds what the last turn of its session has read, if the same model answers at the same
effort in the same tier, soon enough, and if that provider caches unasked or the log's own session
was cached. The rest of its input is read anew, and written to the cache where that costs more.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from analytics.models import RequestRecord
from optimizer.domain.turns import COMPACTION, SIDE_KINDS
from optimizer.gateway.prompt_cache import LEAST_CACHED_TOKENS, UNASKED
from providers.completion import Usage
from routing.cache_keeping import LIFETIME
from routing.models import CachedConversation, ModelRef

_MOST_SESSIONS = 50_000


class _Cached(NamedTuple):
    conversation: CachedConversation
    at: datetime


CachedSessions = OrderedDict[tuple[str, str, str], _Cached]
"""What is cached of each session, by tenant, session and sub-agent."""


class SimulatedCaches:
    """The caches of all sessions; give it the requests in the order of their times.

    ``wire_of`` returns the wire of a provider; ``sessions`` is what is cached so far.
    """

    def __init__(self, wire_of: Callable[[str], str], sessions: CachedSessions) -> None:
        self._wire_of = wire_of
        self._sessions = sessions

    def find(self, record: RequestRecord) -> CachedConversation | None:
        """Return what is cached of the request's session, ``None`` for nothing."""
        cached = self._sessions.get(_key(record)) if _goes_on(record) else None
        if cached is None or (record.created_at - cached.at).total_seconds() > LIFETIME:
            return None
        return cached.conversation

    def usage(
        self, record: RequestRecord, ref: ModelRef, effort: str, tier: str, tokens: tuple[int, int]
    ) -> Usage:
        """Return the usage of the request on ``ref``, and remember what it has cached.

        ``tokens`` are its input and its output.
        """
        size, written = tokens
        if not _goes_on(record) or not self._caches(record, ref):
            return Usage(size, written, service_tier=tier)
        known, read = self.find(record), 0
        way = (ref.provider, ref.model, effort, tier)
        if known is not None and way == (
            known.provider, known.model, known.effort, known.service_tier
        ):  # fmt: skip
            read = min(known.cached_tokens, size)
        kept = size if size >= LEAST_CACHED_TOKENS and record.turn != COMPACTION else 0
        conversation = CachedConversation(ref.provider, ref.model, kept, effort, tier)
        self._sessions[_key(record)] = _Cached(conversation, record.created_at)
        self._sessions.move_to_end(_key(record))
        if len(self._sessions) > _MOST_SESSIONS:
            self._sessions.popitem(last=False)
        # Those that cache unasked charge nothing for it.
        marked = self._wire_of(ref.provider) not in UNASKED
        return Usage(
            size,
            written,
            cache_read_tokens=read,
            cache_write_tokens=kept - read if marked and kept else 0,
            service_tier=tier,
        )

    def _caches(self, record: RequestRecord, ref: ModelRef) -> bool:
        if self._wire_of(ref.provider) in UNASKED:
            return True
        return bool(record.cache_read_tokens or record.cache_write_tokens)


def _goes_on(record: RequestRecord) -> bool:
    return bool(record.session_id) and record.turn not in SIDE_KINDS


def _key(record: RequestRecord) -> tuple[str, str, str]:
    return record.tenant, record.session_id, record.sub_agent
