"""Bounds that clients, headers and rules set to a request; it shares answers only within them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any, TypeVar

from analytics.cache import scoped_cache_key
from optimizer.domain.client import ANONYMOUS, Client
from optimizer.domain.request import GatewayRequest
from providers.residency import NO_RESIDENCY, ResidencyError, read_regions
from providers.values import changed
from routing.rules import Effect

RESIDENCY_HEADER = "x-optimizer-residency"
"""Names the regions that the data of a request must not leave."""
Bound = TypeVar("Bound", float | None, Decimal | None)


class WrongResidency(ValueError):
    """The header that names regions cannot be read; the message says why."""


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


def within_latency(request: GatewayRequest, seconds: float) -> GatewayRequest:
    """Return ``request`` with a limit of its latency; it shares answers with no other limit.

    A fast model's answer may be worse than that of a model which others would get.
    """
    bound = f"latency {seconds:g}"
    return replace(
        request,
        max_latency=seconds,
        cache_key=scoped_cache_key(request.cache_key, bound),
        semantic_key=scoped_cache_key(request.semantic_key, bound),
    )


def residency_of(value: str) -> frozenset[str]:
    """Return the regions of the header :data:`RESIDENCY_HEADER`. Raises :class:`WrongResidency`."""
    if not value:
        return NO_RESIDENCY
    try:
        return read_regions(value)
    except ResidencyError as error:
        raise WrongResidency(f"The header {RESIDENCY_HEADER} {error}") from None


def residency_of_request(request: GatewayRequest) -> frozenset[str]:
    """Return the regions that the request and its client name; rules may name more."""
    return request.chat.residency | request.client.residency


def within_regions(request: GatewayRequest, residency: frozenset[str]) -> GatewayRequest:
    """Return ``request`` so that its data stays within these regions, beside those so far.

    It shares answers only with requests that must stay within the same regions.
    """
    within = request.chat.residency | residency
    if within == request.chat.residency:
        return request
    bound = f"residency {','.join(sorted(within))}"
    return replace(
        request,
        chat=changed(request.chat, residency=within),
        cache_key=scoped_cache_key(request.cache_key, bound),
        semantic_key=scoped_cache_key(request.semantic_key, bound),
    )


def bounded_by_rules(request: GatewayRequest, effect: Effect) -> GatewayRequest:
    """Return ``request`` so that it shares answers only with requests of the same rules' bounds.

    Rules may concern some clients alone. An answer within their bounds is not what others would
    get, and what others got may be worse than the rules ask for.
    """
    bounds = (effect.quality_target, effect.cost_cap, effect.latency_cap)
    if effect.noted is None and all(bound is None for bound in bounds):
        return request
    owners = ("rules", *map(str, bounds))
    if effect.noted is not None:
        owners = (*owners, effect.noted.answer_note)
    return replace(
        request,
        cache_key=scoped_cache_key(request.cache_key, *owners),
        semantic_key=scoped_cache_key(request.semantic_key, *owners),
    )


def left_to_routing(request: GatewayRequest) -> GatewayRequest:
    """Return a request that names its model as one whose model hybrid routing chooses.

    It shares answers only with requests that are routed so. The named model stays known, for the
    case that no model can be chosen.
    """
    return replace(
        request,
        chat=changed(request.as_asked, chosen=True),
        asked=None,
        strategy="hybrid",
        only=None,
        named=request.only,
        cache_key=scoped_cache_key(request.cache_key, "routed"),
        semantic_key=scoped_cache_key(request.semantic_key, "routed"),
    )
