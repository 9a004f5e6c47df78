"""What routing knows of the session of a request, the same in all workers."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial

from analytics.database.aside import DatabaseThread
from analytics.ledger.session_states import (
    SessionLengths,
    SessionTurn,
    StallSeen,
    session_lengths,
    session_remembered,
)
from analytics.ledger.sessions import SessionKey
from analytics.quality.session_moves import MovesLearned, moves_learned
from optimizer.domain.analyzed_request import AnalyzedRequest
from optimizer.domain.human_words import words_of_turn
from optimizer.domain.identifiers import NO_AGENTS
from optimizer.domain.loops import loop_of
from optimizer.domain.request import GatewayRequest
from optimizer.domain.turns import COMPACTION, KEEP_ALIVE, SIDE_KINDS
from optimizer.gateway.prompt_cache import LEAST_CACHED_TOKENS, UNASKED
from optimizer.shared.snapshot import Snapshot
from providers.chat import Chat, Thinking, ToolCall
from providers.completion import Completion
from routing.models import TIERS, ModelRef, RoutingDecision, SessionState

logger = logging.getLogger(__name__)
_STALLED_ROUNDS = 3
_HELD_BACK = 5
"""One stalled session of so many is not moved up, to compare the others with it."""
_READ_AGAIN_SECONDS = 300.0
# Providers keep a cached conversation for at least as long after its last use.
# https://docs.anthropic.com/en/docs/build-with-claude/prompt-caching
# https://platform.openai.com/docs/guides/prompt-caching
_KEPT, _KEPT_AN_HOUR = timedelta(minutes=5), timedelta(hours=1)


class SessionStates:
    """Finds what is known of sessions, and says what to remember of a turn.

    ``wire_of`` returns the wire of a provider. ``refresh`` reads the database, so do not call it
    on the event loop.
    """

    def __init__(self, database: DatabaseThread, wire_of: Callable[[str], str]) -> None:
        self._database = database
        self._wire_of = wire_of
        self._lengths: Snapshot[SessionLengths] = Snapshot(session_lengths)
        self._moves: Snapshot[MovesLearned] = Snapshot(moves_learned)
        self._read_at = float("-inf")

    def refresh(self) -> None:
        """Read how long past sessions were and which moves helped, if that was long ago."""
        now = time.monotonic()
        if now - self._read_at >= _READ_AGAIN_SECONDS:
            self._lengths.refresh()
            self._moves.refresh()
            self._read_at = now

    async def find(
        self, analyzed: AnalyzedRequest, *, of_named: bool = False
    ) -> SessionState | None:
        """Return what is known of the session, ``None`` for a first turn and for no agent.

        Where one model alone may answer, it is looked for only if ``of_named``.
        """
        request = analyzed.request
        if not _is_remembered(request):
            return None
        if request.only is not None and len(request.only) == 1 and not of_named:
            return None
        key = _key_of(request)
        try:
            known = await self._database.run(partial(session_remembered, key))
        except Exception as error:  # routing must not fail for what is only an advantage
            logger.warning("What is known of a session cannot be read", exc_info=error)
            return None
        if known is None or known.tier not in TIERS:
            return None
        lengths = self._lengths.value or SessionLengths()
        calls = max(known.calls, 1)
        return SessionState(
            provider=known.provider,
            model=known.model,
            tier=known.tier,  # type: ignore[arg-type]  # checked above
            cached_tokens=known.cached_tokens,
            expected_turns=lengths.expected_after(request.session.agent, calls),
            turn_input=analyzed.analysis.token_count // (calls + 1),
            turn_output=known.tokens_out // calls,
            sealed=needs_reasoning(request.chat),
            stalled=loop_of(request.chat).rounds >= _STALLED_ROUNDS,
            moved_up=known.moved_up,
            unhelpful=(self._moves.value or _NO_MOVES).unhelpful(
                ModelRef(known.provider, known.model)
            ),
            held_back=_held_back(key),
            effort=known.effort,
            service_tier=known.service_tier,
        )

    def with_stall(
        self, analyzed: AnalyzedRequest, decision: RoutingDecision, session: SessionState | None
    ) -> RoutingDecision:
        """Return ``decision``, which says how often its agent has repeated its steps.

        ``session`` is what :meth:`find` returned.
        """
        request = analyzed.request
        if (session is not None and not session.stalled) or not _is_remembered(request):
            return decision
        if request.turn == KEEP_ALIVE:
            return decision
        rounds = loop_of(request.chat).rounds
        if rounds < _STALLED_ROUNDS:
            return decision
        return replace(decision, metadata={**decision.metadata, "repeated": rounds})

    def turn_of(
        self, analyzed: AnalyzedRequest, decision: RoutingDecision, completion: Completion
    ) -> SessionTurn | None:
        """Return what the session remembers of an answer, ``None`` for nothing."""
        request, usage = analyzed.request, completion.usage
        if not _is_remembered(request):
            return None
        cached = usage.cache_read_tokens + usage.cache_write_tokens
        if self._wire_of(completion.provider) in UNASKED:
            cached = max(cached, usage.input_tokens)
        # After a compaction, the conversation begins anew.
        kept = cached >= LEAST_CACHED_TOKENS and request.turn != COMPACTION
        lifetime = _KEPT_AN_HOUR if usage.cache_write_1h_tokens else _KEPT
        return SessionTurn(
            _key_of(request),
            request.asked_at,
            completion.provider,
            completion.model,
            analyzed.analysis.tier,
            request.chat.reasoning.level if request.chat.reasoning is not None else "",
            cached if kept else 0,
            request.asked_at + lifetime if kept else None,
            bool(decision.metadata.get("moved_up")),
            _stall_of(request, decision, completion) if "repeated" in decision.metadata else None,
            usage.service_tier,
        )


_NO_MOVES = MovesLearned()


def _stall_of(
    request: GatewayRequest, decision: RoutingDecision, completion: Completion
) -> StallSeen:
    answered = str(ModelRef(completion.provider, completion.model))
    before = decision.metadata.get("moved_from", answered)
    return StallSeen(
        request.request_id,
        request.session.agent,
        before,
        answered if answered != before else "",
        bool(decision.metadata.get("held_back")),
    )


def _held_back(key: SessionKey) -> bool:
    """Return whether the lot of a session, the same in all workers, holds it back."""
    text = "\0".join(key)
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=2).digest()
    return int.from_bytes(digest) % _HELD_BACK == 0


def _is_remembered(request: GatewayRequest) -> bool:
    """Return whether a request is a turn of an agent's own conversation."""
    agent = request.session.agent
    return agent not in NO_AGENTS and bool(request.session_id) and request.turn not in SIDE_KINDS


def _key_of(request: GatewayRequest) -> SessionKey:
    session = request.session
    return SessionKey(request.client.tenant, session.id, session.sub_agent)


def needs_reasoning(chat: Chat) -> bool:
    """Return whether the turn goes on with reasoning that only the model that wrote it can read.

    That is reasoning since a person's last words: what is older, providers leave out.
    """
    for message in reversed(chat.messages):
        if message.role == "user" and words_of_turn(message).strip():
            return False
        for part in message.parts:
            if isinstance(part, ToolCall) and part.signature:
                return True
            if isinstance(part, Thinking) and (part.signature or part.redacted or part.details):
                return True
    return False
