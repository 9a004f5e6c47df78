"""Reads our extensions to other APIs: the field ``optimizer`` and ``Cache-Control``."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from optimizer.api.http.body_reader import BodyReader
from optimizer.domain.deadlines import Delivery, read_deadline
from optimizer.domain.options import MAX_LATENCY_SECONDS, CacheControl, RequestOptions
from optimizer.domain.request_bounds import residency_of
from providers.residency import NO_RESIDENCY, ResidencyError, read_regions
from providers.storable import storable_text

_MAX_TEXT_LENGTH = 128
_MAX_TAGS = 20
_MAX_URL_LENGTH = 2000
_NO_OPTIONS = RequestOptions()
_MAX_TTL_SECONDS = 365 * 24 * 3600


def read_request_options(body: BodyReader, cache_control: str) -> RequestOptions:
    """Return the options of a request; ``cache_control`` is its header or empty."""
    fields = body.object("optimizer")
    if fields is None and not cache_control:
        return _NO_OPTIONS
    control = read_cache_control(cache_control)
    if fields is None:
        return RequestOptions(cache_control=control)
    max_cost = fields.number("max_cost", 0, 1_000_000)
    options = RequestOptions(
        quality_target=fields.number("quality_target", 0, 1),
        max_cost=None if max_cost is None else Decimal(str(max_cost)),
        max_latency=fields.number("max_latency", 0, MAX_LATENCY_SECONDS),
        baseline=_short_text(fields, "baseline"),
        tags=_tags(fields),
        session_id=_short_text(fields, "session_id"),
        cache_ttl=fields.integer("cache_ttl", 0, _MAX_TTL_SECONDS),
        read_only_tools=_read_only_tools(fields),
        semantic_cache=fields.flag("semantic_cache", True),
        strict=fields.flag("strict"),
        residency=_residency(fields),
        cache_control=control,
        delivery=_delivery(fields),
    )
    if unknown := fields.unread():
        raise fields.error(
            unknown[0],
            "is not a known option. Known options: quality_target, max_cost, max_latency, "
            "baseline, tags, session_id, cache_ttl, semantic_cache, read_only_tools, strict, "
            "residency, deadline, async, webhook.",
            "unknown_parameter",
        )
    return options


def within_header(options: RequestOptions, value: str) -> RequestOptions:
    """Return ``options`` with the regions of the header ``X-Optimizer-Residency``, too.

    Raises :class:`optimizer.domain.request_bounds.WrongResidency`.
    """
    residency = residency_of(value)
    return replace(options, residency=options.residency | residency) if residency else options


def _delivery(fields: BodyReader) -> Delivery:
    deadline = fields.raw("deadline")
    try:
        seconds = None if deadline is None else read_deadline(deadline)
    except ValueError as error:
        raise fields.error("deadline", str(error), "invalid_value") from None
    webhook = fields.text("webhook")
    if len(webhook) > _MAX_URL_LENGTH:
        raise fields.error("webhook", f"must have at most {_MAX_URL_LENGTH} characters.")
    return Delivery(seconds, fields.flag("async"), storable_text(webhook))


def _residency(fields: BodyReader) -> frozenset[str]:
    value = fields.raw("residency")
    if value is None:
        return NO_RESIDENCY
    try:
        return read_regions(value)
    except ResidencyError as error:
        raise fields.error("residency", str(error), "invalid_value") from None


def _short_text(fields: BodyReader, name: str) -> str:
    value = fields.text(name)
    if len(value) > _MAX_TEXT_LENGTH:
        raise fields.error(name, f"must have at most {_MAX_TEXT_LENGTH} characters.")
    return storable_text(value)


def _tags(fields: BodyReader) -> tuple[str, ...]:
    tags = fields.texts("tags", most=_MAX_TAGS)
    if any(not 0 < len(tag) <= _MAX_TEXT_LENGTH for tag in tags):
        raise fields.error("tags", f"each tag must have 1 to {_MAX_TEXT_LENGTH} characters.")
    return tuple(map(storable_text, tags))


def _read_only_tools(fields: BodyReader) -> frozenset[str] | bool:
    value = fields.raw("read_only_tools")
    if value is None or isinstance(value, bool):
        return bool(value)
    return frozenset(fields.texts("read_only_tools"))


def read_cache_control(header: str) -> CacheControl:
    """Return the directives of the header; unknown ones are ignored, as RFC 9111 requires."""
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
