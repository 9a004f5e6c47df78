"""Who asks: what a client may do, and what of it stands on its requests."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, replace
from datetime import datetime

from analytics.cache import scoped_cache_key
from optimizer.domain.client import ANONYMOUS, Client
from optimizer.domain.request import GatewayRequest
from optimizer.policies.rules import stricter

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class AccessDenied(Exception):
    """Who asks may not; the message says why. ``status`` is HTTP's 401, 403 or 503."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A key as it is kept in memory."""

    id: int
    client: Client
    networks: tuple[Network, ...] = ()
    expires_at: datetime | None = None

    def admits(self, address: str) -> bool:
        """Whether it may be used from there."""
        if not self.networks:
            return True
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        mapped = getattr(found, "ipv4_mapped", None)
        return any((mapped or found) in network for network in self.networks)


def apply_client(request: GatewayRequest, client: Client) -> GatewayRequest:
    """``request`` as ``client`` asks it: by its user, with its tags, as good and as cheap as it
    wants, from its own cache.
    """
    if client is ANONYMOUS:
        return request
    wanted = [str(wish) for wish in (client.quality_target, client.cost_cap) if wish is not None]
    return replace(
        request,
        client=client,
        min_quality=stricter(request.min_quality, client.quality_target, max),
        max_cost=stricter(request.max_cost, client.cost_cap, min),
        user_id=client.user or request.user_id,
        tags=tuple(dict.fromkeys((*request.tags, *client.tags))),
        cache_key=scoped_cache_key(request.cache_key, client.tenant, *wanted),
        semantic_key=scoped_cache_key(request.semantic_key, client.tenant, *wanted),
    )
