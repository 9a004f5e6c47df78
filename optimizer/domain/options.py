"""What a client may wish for beyond what its API knows, and what that means for the cache."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from optimizer.domain.request import CachePolicy
from providers.chat import Chat, Text

_KEY_VERSION = 2
# Who asks, and how the answer is to be delivered, changes nothing about the answer.
_NOT_IN_KEY = frozenset(
    {"stream", "stream_options", "user", "safety_identifier", "metadata", "store", "optimizer"}
)


@dataclass(frozen=True, slots=True)
class CacheControl:
    """The request's ``Cache-Control`` (RFC 9111, section 5.2.1), as far as it matters."""

    no_store: bool = False
    no_cache: bool = False
    only_if_cached: bool = False
    max_age: int | None = None


@dataclass(frozen=True, slots=True)
class RequestOptions:
    """``quality_target`` 0-1, ``max_cost`` in USD, ``baseline`` a model's name, ``cache_ttl``
    in seconds. ``read_only_tools`` are tools whose calls change nothing in the world;
    ``True`` stands for all of them.
    """

    quality_target: float | None = None
    max_cost: Decimal | None = None
    baseline: str = ""
    tags: tuple[str, ...] = ()
    session_id: str = ""
    cache_ttl: int | None = None
    read_only_tools: frozenset[str] | bool = False
    semantic_cache: bool = True
    cache_control: CacheControl = field(default_factory=CacheControl)


def cache_policy(chat: Chat, options: RequestOptions, *, hottest: float | None) -> CachePolicy:
    """What of the cache a chat may use. ``hottest`` is the highest temperature at which
    a repeated question may get a repeated answer, ``None`` where there is no cache.
    """
    control = options.cache_control
    bypass_reason = _bypass_reason(chat, options, hottest)
    kept = not (control.no_store or bypass_reason) and options.cache_ttl != 0
    return CachePolicy(
        read=kept and not control.no_cache,
        write=kept,
        only=control.only_if_cached,
        max_age=control.max_age,
        ttl=options.cache_ttl,
        bypass_reason=bypass_reason or ("no-store" if control.no_store else "" if kept else "ttl"),
    )


def _bypass_reason(chat: Chat, options: RequestOptions, hottest: float | None) -> str:
    if hottest is None:
        return "off"
    if chat.temperature is not None and chat.temperature > hottest:
        return "temperature"
    if chat.n > 1:
        return "n"
    if "tools" in chat.native:
        return "tools"  # the provider itself runs them
    if options.read_only_tools is not True:
        harmless = options.read_only_tools or frozenset()
        if any(tool.name not in harmless for tool in chat.tools):
            return "tools"
    return ""


def semantic_key(chat: Chat, options: RequestOptions) -> str:
    """Like :func:`chat_key`, but over all except the last question; empty where the last
    message is something else than a text.
    """
    assert chat.source is not None
    last = chat.messages[-1]
    if last.role != "user" or not all(isinstance(part, Text) for part in last.parts):
        return ""
    before = chat.source.body["messages"][:-1]
    return _key(chat, options, {**chat.source.body, "messages": before})


def chat_key(chat: Chat, options: RequestOptions) -> str:
    """SHA-256 over everything that changes the answer to ``chat``, as 64 hex digits."""
    assert chat.source is not None
    return _key(chat, options, chat.source.body)


def _key(chat: Chat, options: RequestOptions, source: Mapping[str, Any]) -> str:
    assert chat.source is not None
    body = {k: v for k, v in source.items() if k not in _NOT_IN_KEY}
    parts: list[Any] = [
        _KEY_VERSION,
        chat.source.wire,
        chat.source.headers,
        options.quality_target,
        str(options.max_cost),
        body,
    ]
    text = json.dumps(parts, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()
