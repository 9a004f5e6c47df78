"""The options that a request may set beyond its API's own fields, and their effect on the cache."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import field
from decimal import Decimal
from typing import Any

from optimizer.domain.deadlines import Delivery
from optimizer.domain.request import CachePolicy
from providers.chat import Chat, Text
from providers.large_json import json_pieces
from providers.values import frozen

MAX_LATENCY_SECONDS = 3600
"""The greatest limit of an answer's latency: as long as any request may take."""
_KEY_VERSION = 2
NOT_IN_KEY = frozenset(
    {
        "stream", "stream_options", "user", "safety_identifier", "metadata", "store", "optimizer",
        "client_metadata", "prompt_cache_key", "prompt_cache_retention", "labels", "cache_control",
    }
)  # fmt: skip
"""Fields that are left out of the cache's key: the user and the delivery change no answer."""
STATEFUL = frozenset(
    {"previous_response_id", "conversation", "prompt", "background", "thread", "container",
     "item_reference"}
)  # fmt: skip
"""Fields whose state the provider keeps: what the answer depends on, or what it changes."""

_TURNS = ("messages", "input", "contents")
_MARK = "cache_control"
_MARKED = (*_TURNS, "system", "tools")
# Where parts stand within parts; arguments of calls and schemas may have any names of their own.
_WITHIN = ("content", "parts", "source", "output")
_FIELDS_OF_MARKS = frozenset({"type", "ttl", "scope"})
_SEPARATORS = (",", ":")
_encode = json.JSONEncoder(ensure_ascii=True, sort_keys=True, separators=_SEPARATORS).encode


@frozen
class CacheControl:
    """The directives of the request's ``Cache-Control`` header that the service obeys.

    See RFC 9111, section 5.2.1. ``max_age`` is in seconds.
    """

    no_store: bool = False
    no_cache: bool = False
    only_if_cached: bool = False
    max_age: int | None = None


@frozen
class RequestOptions:
    """The options of one request.

    ``quality_target`` is 0-1, ``max_cost`` USD, ``max_latency`` and ``cache_ttl`` seconds,
    ``baseline`` a model's name. ``read_only_tools`` are the tools whose calls have no side
    effects; ``True`` means all of them. ``strict`` allows only models that leave out nothing
    of the request. ``residency`` are the regions that its data must not leave. ``delivery`` is by
    when the answer is wanted, and how.
    """

    quality_target: float | None = None
    max_cost: Decimal | None = None
    max_latency: float | None = None
    baseline: str = ""
    tags: tuple[str, ...] = ()
    session_id: str = ""
    cache_ttl: int | None = None
    read_only_tools: frozenset[str] | bool = False
    semantic_cache: bool = True
    strict: bool = False
    residency: frozenset[str] = frozenset()
    cache_control: CacheControl = field(default_factory=CacheControl)
    delivery: Delivery = Delivery()


def cache_policy(chat: Chat, options: RequestOptions, *, hottest: float | None) -> CachePolicy:
    """Return how a chat may use the cache.

    ``hottest`` is the highest temperature at which a repeated question may get a cached
    answer, ``None`` if there is no cache.
    """
    control = options.cache_control
    bypass_reason = _bypass_reason(chat, options, hottest)
    cacheable = not (control.no_store or bypass_reason) and options.cache_ttl != 0
    return CachePolicy(
        read=cacheable and not control.no_cache,
        write=cacheable,
        only=control.only_if_cached,
        max_age=control.max_age,
        ttl=options.cache_ttl,
        no_store=control.no_store,
        bypass_reason=bypass_reason
        or ("no-store" if control.no_store else "" if cacheable else "ttl"),
    )


def _bypass_reason(chat: Chat, options: RequestOptions, hottest: float | None) -> str:
    if hottest is None:
        return "off"
    if chat.temperature is not None and chat.temperature > hottest:
        return "temperature"
    if chat.n > 1:
        return "n"
    if fields := (*chat.native, *chat.extras):
        if any(name.startswith("tools") for name in fields):
            return "tools"  # the provider itself runs these tools
        if not STATEFUL.isdisjoint(fields):
            return "state"
    if chat.tools and options.read_only_tools is not True:
        read_only = options.read_only_tools or frozenset()
        if any(tool.name not in read_only for tool in chat.tools):
            return "tools"
    return ""


def semantic_key(chat: Chat, options: RequestOptions) -> str:
    """Return a key like that of :func:`chat_key`, over everything except the last question.

    It is empty if the last message is not a text of the user.
    """
    assert chat.source is not None
    if "messages" not in chat.source.body:
        return ""
    last = chat.messages[-1]
    if last.role != "user" or not all(isinstance(part, Text) for part in last.parts):
        return ""
    body = chat.source.body
    name = next((name for name in _TURNS if name in body), "")
    turns = body.get(name)
    before = turns[:-1] if isinstance(turns, list) else []
    return _key(chat, options, {**body, name: before})


def chat_key(chat: Chat, options: RequestOptions) -> str:
    """Return the SHA-256 of everything that changes the answer to ``chat``, as 64 hex digits."""
    assert chat.source is not None
    return _key(chat, options, chat.source.body)


def _key(chat: Chat, options: RequestOptions, source: Mapping[str, Any]) -> str:
    assert chat.source is not None
    body = {k: v for k, v in source.items() if k not in NOT_IN_KEY and v is not None and v != []}
    if body.get("n") == 1:
        del body["n"]
    parts: list[Any] = [
        _KEY_VERSION,
        chat.source.wire,
        chat.source.headers,
        options.quality_target,
        str(options.max_cost),
        body,
    ]
    if options.max_latency is not None:
        # A fast model's answer may be worse than that of a model which others would get.
        parts.append(f"latency {options.max_latency:g}")
    if options.strict:
        # A model may have left something out of the same request where that was allowed.
        parts.append("strict")
    if not chat.large:
        text = _encode(parts)
        if _MARK in text:
            text = _encode(_without_marks(parts, body))
        return hashlib.sha256(text.encode("ascii")).hexdigest()
    digest = hashlib.sha256()
    unmarked = _without_marks(parts, body)
    for piece in json_pieces(unmarked, _encode, separators=_SEPARATORS, ordered=True):
        digest.update(piece.encode("ascii"))
    return digest.hexdigest()


def _without_marks(parts: list[Any], body: Mapping[str, Any]) -> list[Any]:
    """Return ``parts``, of which ``body`` has no marks of what the provider is to cache.

    Those change no answer.
    """
    unmarked = {k: _unmarked(v) if k in _MARKED else v for k, v in body.items()}
    return [unmarked if part is body else part for part in parts]


def _unmarked(value: Any) -> Any:
    if isinstance(value, list):
        return [_unmarked(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        k: _unmarked(v) if k in _WITHIN else v
        for k, v in value.items()
        if k != _MARK or not _is_mark(v)
    }


def _is_mark(value: Any) -> bool:
    """Return whether this is a mark: a result may have a field of that name, with an HTTP header.

    https://docs.anthropic.com/en/docs/build-with-claude/prompt-caching
    """
    return value is None or (isinstance(value, dict) and value.keys() <= _FIELDS_OF_MARKS)
