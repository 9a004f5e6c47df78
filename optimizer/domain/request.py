"""The request of a client in one form, whichever endpoint it came through."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from analytics.cache import cache_key
from optimizer.domain.client import ANONYMOUS, Client
from optimizer.domain.human_words import words_of_turn
from optimizer.domain.identifiers import NO_SESSION, Session, new_request_id
from optimizer.domain.levers import LeverTrial
from providers import features
from providers.chat import Chat, Text
from providers.resilience import Caller
from providers.specialised.requests import KINDS
from providers.storable import storable_text
from providers.tier_attempts import TierAttempt
from providers.values import frozen
from routing.analysis import analyze_conversation, analyze_prompt
from routing.models import ModelRef, PromptAnalysis

# The assumed length of a completion, in tokens, where the client sets no limit: for checks
# against the context window and the cost cap.
ASSUMED_MAX_TOKENS = 4096
NO_CHATS = frozenset({"embeddings", *KINDS})
"""The endpoints, by their names in the ledger, whose requests are no chats."""
_LONGEST_ID = 128
_MOST_TURNS = 20
"""Turns of people that are analyzed: earlier ones do not change how hard the last one is."""


def storable_id(text: str) -> str:
    """Return a client's own id of a user as the ledger stores it: at most 128 characters."""
    return storable_text(text)[:_LONGEST_ID]


@frozen
class CachePolicy:
    """How a request may use the response cache.

    ``max_age`` is the greatest age of an answer that it accepts, in seconds. ``ttl`` is how
    long its own answer may be stored, in seconds, ``None`` for as long as the service stores
    any. ``only`` accepts a cached answer or none. ``no_store`` is whether the client forbids to
    store anything. ``bypass_reason`` says why the cache is not used, "" if it is.
    """

    read: bool = True
    write: bool = True
    only: bool = False
    max_age: int | None = None
    ttl: int | None = None
    bypass_reason: str = ""
    no_store: bool = False

    @property
    def bypassed(self) -> bool:
        """Return whether the request neither reads nor writes the cache."""
        return not (self.read or self.write)


@frozen
class GatewayRequest:
    """One request of a client.

    ``prompt`` is what a person wrote last: the part that is analysed, stored and shown.
    ``prompt_hash`` is its SHA-256, empty for a short one: that is hashed when it is stored.
    ``only`` are the (provider, model) pairs that may answer, ``baseline`` the model to compare the
    cost with; both are ``None`` unless the client names them. ``max_cost`` is USD,
    ``min_quality`` 0-1, ``max_latency`` the seconds until the answer is complete.
    ``deadline`` are the seconds from ``asked_at`` on within which the answer is wanted, ``None`` if
    it is wanted at once; ``accepts_later`` is whether the client comes back for it, and ``webhook``
    the URL that it wants called then.
    Requests with the same ``cache_key`` may share an answer. Requests with the same
    ``semantic_key`` (unless it is empty) may share one too, if their prompts have the same
    meaning. ``named`` are the models that the client named where a rule leaves the choice to
    routing. ``turn`` is the kind of turn (:mod:`optimizer.domain.turns`). A ``strict`` request
    goes only to models that leave out nothing of it. ``trials`` are those of levers.
    ``first_tier`` is another service tier in which the model is asked first. ``asked`` is
    the client's own chat where a lever has changed ``chat``. ``restoring`` makes a caller that
    answers a model's own questions for what a lever left out, where one did. ``passed_over`` is the
    text of a cached answer that was there and left alone, to be compared.
    ``deferred`` is the id of the deferred
    request that it answers, and ``held`` whether money is held for it already.
    """

    chat: Chat
    prompt: str
    cache_key: str
    prompt_hash: str = ""
    strategy: str = "complexity"
    semantic_key: str = ""
    endpoint: str = "complete"
    requested_model: str = ""
    only: frozenset[ModelRef] | None = None
    named: frozenset[ModelRef] | None = None
    baseline: ModelRef | None = None
    min_quality: float | None = None
    max_cost: Decimal | None = None
    max_latency: float | None = None
    deadline: float | None = None
    accepts_later: bool = False
    webhook: str = ""
    tags: tuple[str, ...] = ()
    user_id: str = ""
    session: Session = NO_SESSION
    turn: str = ""
    cache: CachePolicy = CachePolicy()
    streamed: bool = False
    strict: bool = False
    trials: tuple[LeverTrial, ...] = ()
    first_tier: TierAttempt | None = None
    asked: Chat | None = None
    restoring: Callable[[Caller], Caller] | None = None
    passed_over: str = ""
    deferred: uuid.UUID | None = None
    held: bool = False
    client: Client = ANONYMOUS
    request_id: uuid.UUID = field(default_factory=new_request_id)
    asked_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def session_id(self) -> str:
        """Return the id of its session, empty if it has none."""
        return self.session.id

    @property
    def as_asked(self) -> Chat:
        """Return the client's own chat, whatever levers made of it."""
        return self.chat if self.asked is None else self.asked

    @property
    def max_tokens(self) -> int:
        """Return the limit of the completion in tokens, assumed where the client sets none."""
        return self.chat.max_tokens or ASSUMED_MAX_TOKENS

    @property
    def needs(self) -> dict[str, str]:
        """Return the capabilities it needs of a model, each with the field that requires it."""
        return features.needs(self.chat, strict=self.strict)

    def analyze(self) -> PromptAnalysis:
        """Return the pattern, complexity, tier and estimated input tokens."""
        chat = self.chat
        first = chat.messages[0] if len(chat.messages) == 1 and not chat.tools else None
        if first is not None and first.role == "user":
            text_only = all(isinstance(part, Text) for part in first.parts)
            # Context around the prompt costs tokens, though it is not weighed.
            if text_only and len(first.text) == len(self.prompt):
                return analyze_prompt(self.prompt)
        return analyze_conversation(
            _turns(chat), system=chat.system, tools=len(chat.tools), tokens=chat.estimated_tokens()
        )


def prompt_of(chat: Chat) -> str:
    """Return what a person wrote last; the last user's text if people wrote nothing."""
    last = chat.last_words
    if not _may_have_context(last):
        return last
    words = map(words_of_turn, (m for m in reversed(chat.messages) if m.role == "user"))
    return next(filter(str.strip, words), last)


def _may_have_context(text: str) -> bool:
    return "<" in text or text.startswith(("This is the ", "# Context"))


def _turns(chat: Chat) -> list[str]:
    """Return what people wrote in their last turns, oldest first, else the last user's text."""
    turns: list[str] = []
    for message in reversed(chat.messages):
        if message.role != "user" or not (text := message.text):
            continue
        if _may_have_context(text):
            text = words_of_turn(message)
        if text.strip():
            turns.append(text)
            if len(turns) == _MOST_TURNS:
                break
    turns.reverse()
    return turns or [chat.last_words]


def only_text(chat: Chat) -> bool:
    """Return whether a request is text alone, and its answer one text: without tools or images."""
    text_parts = all(isinstance(part, Text) for part in chat.parts())
    return text_parts and not chat.tools and not chat.native and chat.n == 1


def isolated_request(chat: Chat, *, user: str, tag: str, **more: Any) -> GatewayRequest:
    """Return a request of an operator that neither uses the cache nor shares a call.

    ``tag`` is the request's tag, and the reason why it bypasses the cache. ``more`` are other
    fields of :class:`GatewayRequest`.
    """
    request_id = new_request_id()
    return GatewayRequest(
        chat=chat,
        prompt=storable_text(prompt_of(chat)),
        cache_key=cache_key(str(request_id), max_tokens=0, auto_route=False),
        endpoint="playground",
        tags=(tag,),
        user_id=storable_id(user),
        cache=CachePolicy(read=False, write=False, bypass_reason=tag),
        request_id=request_id,
        **more,
    )
