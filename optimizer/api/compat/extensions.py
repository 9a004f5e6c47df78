"""What we understand beyond other APIs: the body's ``optimizer`` and ``Cache-Control``."""

from __future__ import annotations

from decimal import Decimal

from optimizer.api.http.body_reader import BodyReader
from optimizer.domain.options import CacheControl, RequestOptions
from providers.storable import storable_text

_LONGEST_TEXT = 128
_MOST_TAGS = 20
_LONGEST_TTL = 365 * 24 * 3600


def read_request_options(body: BodyReader, cache_control: str) -> RequestOptions:
    """``cache_control`` is the request's header, empty if there is none."""
    control = read_cache_control(cache_control)
    found = body.object("optimizer")
    if found is None:
        return RequestOptions(cache_control=control)
    max_cost = found.number("max_cost", 0, 1_000_000)
    options = RequestOptions(
        quality_target=found.number("quality_target", 0, 1),
        max_cost=None if max_cost is None else Decimal(str(max_cost)),
        baseline=_short(found, "baseline"),
        tags=_tags(found),
        session_id=_short(found, "session_id"),
        cache_ttl=found.integer("cache_ttl", 0, _LONGEST_TTL),
        read_only_tools=_read_only_tools(found),
        semantic_cache=found.flag("semantic_cache", True),
        cache_control=control,
    )
    if unknown := found.unread():
        raise found.error(
            unknown[0],
            "is unknown; known are quality_target, max_cost, baseline, tags, session_id, "
            "cache_ttl, semantic_cache and read_only_tools.",
            "unknown_parameter",
        )
    return options


def _short(fields: BodyReader, name: str) -> str:
    value = fields.text(name)
    if len(value) > _LONGEST_TEXT:
        raise fields.error(name, f"may have at most {_LONGEST_TEXT} characters.")
    return storable_text(value)


def _tags(fields: BodyReader) -> tuple[str, ...]:
    tags = fields.texts("tags", most=_MOST_TAGS)
    if any(not 0 < len(tag) <= _LONGEST_TEXT for tag in tags):
        raise fields.error("tags", f"each needs 1 to {_LONGEST_TEXT} characters.")
    return tuple(map(storable_text, tags))


def _read_only_tools(fields: BodyReader) -> frozenset[str] | bool:
    value = fields.raw("read_only_tools")
    if value is None or isinstance(value, bool):
        return bool(value)
    return frozenset(fields.texts("read_only_tools"))


def read_cache_control(header: str) -> CacheControl:
    """Directives that are unknown or misspelt are passed over, as the RFC asks."""
    directives: dict[str, str] = {}
    for part in header.lower().split(","):
        name, _, value = part.strip().partition("=")
        directives[name.strip()] = value.strip().strip('"')
    age = directives.get("max-age", "")
    return CacheControl(
        no_store="no-store" in directives,
        no_cache="no-cache" in directives,
        only_if_cached="only-if-cached" in directives,
        max_age=int(age) if age.isascii() and age.isdigit() and len(age) < 12 else None,
    )
