"""What a client asks of the service, whichever endpoint it came through."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar

from analytics.cache import cache_key, scoped_cache_key
from optimizer.domain.client import ANONYMOUS, Client
from optimizer.domain.request_ids import new_request_id
from providers import features
from providers.chat import Chat, Text
from providers.storable import storable_text
from routing.analysis import analyze_conversation, analyze_prompt
from routing.models import PromptAnalysis

# A completion's bound where the client gives none: for the context window and the cost cap.
ASSUMED_MAX_TOKENS = 4096
_LONGEST_ID = 128
Bound = TypeVar("Bound", float | None, Decimal | None)


def storable_id(text: str) -> str:
    """A client's own name for a user, as the ledger keeps it."""
    return storable_text(text)[:_LONGEST_ID]


@dataclass(frozen=True, slots=True)
class CachePolicy:
    """What of the response cache a request may use.

    ``max_age`` is the oldest answer it takes, in seconds; ``ttl`` how long its
    own may be kept, ``None`` for as long as the service keeps any. ``only`` is
    for a cached answer or none. ``bypass_reason`` says what keeps the cache out of it.
    """

    read: bool = True
    write: bool = True
    only: bool = False
    max_age: int | None = None
    ttl: int | None = None
    bypass_reason: str = ""

    @property
    def bypassed(self) -> bool:
        return not (self.read or self.write)


@dataclass(frozen=True, slots=True)
class GatewayRequest:
    """One request. ``prompt`` is what is analysed, stored and shown of it: the last user turn.

    ``only`` are the (provider, model) pairs that may answer, ``baseline`` the
    one to compare the cost with, where the client names them. ``max_cost`` is
    USD, ``min_quality`` 0-1. Requests with the same ``cache_key`` may be given
    the same answer; so may those with the same ``semantic_key``, if any, whose
    prompts ask the same in other words.
    """

    chat: Chat
    prompt: str
    cache_key: str
    strategy: str = "complexity"
    semantic_key: str = ""
    endpoint: str = "complete"
    requested_model: str = ""
    only: frozenset[tuple[str, str]] | None = None
    baseline: tuple[str, str] | None = None
    min_quality: float | None = None
    max_cost: Decimal | None = None
    tags: tuple[str, ...] = ()
    user_id: str = ""
    session_id: str = ""
    cache: CachePolicy = CachePolicy()
    streamed: bool = False
    client: Client = ANONYMOUS
    request_id: uuid.UUID = field(default_factory=new_request_id)
    asked_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def max_tokens(self) -> int:
        """The completion's bound for everything that reckons with one, in tokens."""
        return self.chat.max_tokens or ASSUMED_MAX_TOKENS

    @property
    def needs(self) -> dict[str, str]:
        """What it needs of a model, each with the request's field that needs it."""
        return features.needs(self.chat)

    def analyze(self) -> PromptAnalysis:
        """Pattern, complexity, tier and estimated input tokens."""
        chat = self.chat
        alone = len(chat.messages) == 1 and not chat.tools and chat.messages[0].role == "user"
        if alone and all(isinstance(part, Text) for part in chat.parts()):
            return analyze_prompt(self.prompt)
        turns = [m.text for m in chat.turns if m.role == "user" and m.text]
        return analyze_conversation(
            turns, system=chat.system, tools=len(chat.tools), tokens=chat.estimated_tokens()
        )


def stricter(one: Bound, other: Bound, pick: Callable[[Any, Any], Any]) -> Bound:
    """Return the bound that ``pick`` (``min`` or ``max``) takes; ``None`` is no bound."""
    if one is None or other is None:
        return other if one is None else one
    bound: Bound = pick(one, other)
    return bound


def apply_client(request: GatewayRequest, client: Client) -> GatewayRequest:
    """Return ``request`` with its client's user, tags, quality target, cost cap and cache."""
    if client is ANONYMOUS:
        return request
    bounds = [str(b) for b in (client.quality_target, client.cost_cap) if b is not None]
    return replace(
        request,
        client=client,
        min_quality=stricter(request.min_quality, client.quality_target, max),
        max_cost=stricter(request.max_cost, client.cost_cap, min),
        user_id=client.user or request.user_id,
        tags=tuple(dict.fromkeys((*request.tags, *client.tags))),
        cache_key=scoped_cache_key(request.cache_key, client.tenant, *bounds),
        semantic_key=scoped_cache_key(request.semantic_key, client.tenant, *bounds),
    )


def isolated_request(chat: Chat, *, user: str, tag: str, **more: Any) -> GatewayRequest:
    """An operator's question of their own: no cache is read or written for it, and nobody shares
    its call.
    """
    request_id = new_request_id()
    return GatewayRequest(
        chat=chat,
        prompt=storable_text(chat.last_words),
        cache_key=cache_key(str(request_id), max_tokens=0, auto_route=False),
        endpoint="playground",
        tags=(tag,),
        user_id=storable_id(user),
        cache=CachePolicy(read=False, write=False, bypass_reason=tag),
        request_id=request_id,
        **more,
    )
