"""The API keys in memory, read again twice a second so that a revoked key stops working at once."""

from __future__ import annotations

import ipaddress
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal

from analytics.access.keys import NO_KEYS, keys_load, keys_used, keys_version, tenant_of
from analytics.models import ApiKey
from optimizer.domain.client import ANONYMOUS, Client
from optimizer.shared.snapshot import Snapshot

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


Mode = Literal["auto", "on", "off"]
_LAST_USED_EVERY = 30.0
_HOW = "Create one with: manage.py create_key NAME"


class AccessDenied(Exception):
    """A request is not allowed; the message says why. ``status`` is HTTP's 401, 403 or 503.

    ``client`` is the owner of a key that is valid, but not for this request.
    """

    def __init__(self, status: int, message: str, client: Client = ANONYMOUS) -> None:
        super().__init__(message)
        self.status = status
        self.client = client


@dataclass(frozen=True, slots=True)
class KnownKey:
    """An API key as this process keeps it in memory."""

    id: int
    client: Client
    networks: tuple[Network, ...] = ()
    expires_at: datetime | None = None

    def admits(self, address: str) -> bool:
        """Return whether the key may be used from ``address``."""
        if not self.networks:
            return True
        try:
            ip = ipaddress.ip_address(address)
        except ValueError:
            return False
        mapped = getattr(ip, "ipv4_mapped", None)
        return any((mapped or ip) in network for network in self.networks)


class ApiKeys:
    """Authenticates requests by API key.

    ``mode`` is ``on`` (a key is always required), ``off`` (never) or ``auto``: a key is
    required as soon as one exists; until then only this machine is served.
    ``refresh`` reads the database, so do not call it on the event loop.
    """

    def __init__(self, mode: Mode) -> None:
        self._mode = mode
        self._keys = Snapshot(_known_keys, keys_version)
        self._used: dict[int, datetime] = {}
        self._lock = threading.Lock()
        self._usage_written_at = time.monotonic()

    @property
    def required(self) -> bool:
        """Return whether a request needs a key."""
        exist = self.known and self._keys.version != NO_KEYS
        return self._mode == "on" or (self._mode == "auto" and exist)

    @property
    def known(self) -> bool:
        """Return whether the keys have been read."""
        return self._keys.value is not None

    def refresh(self) -> None:
        """Read the keys if they have changed, and write when keys were used every 30 seconds."""
        self._keys.refresh()
        if time.monotonic() - self._usage_written_at >= _LAST_USED_EVERY:
            self.write_usage()

    def write_usage(self) -> None:
        """Write when keys were last used."""
        with self._lock:
            used, self._used = self._used, {}
        self._usage_written_at = time.monotonic()
        keys_used(used)

    def authenticate(self, digest: str | None, address: str, scope: str) -> Client:
        """Return the client that sent a request from ``address``.

        ``scope`` is what the endpoint requires; ``digest`` is that of the request's API key,
        ``None`` if it has none. Raises :class:`AccessDenied`.
        """
        if self._mode == "off":
            return ANONYMOUS
        if self._keys.value is not None and not self.required:
            if _is_this_machine(address):
                return ANONYMOUS
            raise AccessDenied(
                401, f"No API key exists yet, so only this machine is served. {_HOW}"
            )
        return self.identify(digest, address, scope)

    def identify(self, digest: str | None, address: str, scope: str) -> Client:
        """Return the client of an API key, where a key is needed whatever the mode.

        Takes and raises what :meth:`authenticate` does.
        """
        keys = self._keys.value
        if keys is None:
            raise AccessDenied(503, "API keys cannot be read now. Try again shortly.")
        if digest is None:
            raise AccessDenied(
                401, "An API key is required: Authorization: Bearer <key>, or x-api-key: <key>."
            )
        known = keys.get(digest)
        now = datetime.now(UTC)
        if known is None or (known.expires_at is not None and known.expires_at <= now):
            # One message for wrong, expired and revoked keys: it does not reveal which one it is.
            raise AccessDenied(401, "This API key is not valid.")
        if not known.admits(address):
            raise AccessDenied(403, "This API key may not be used from this address.", known.client)
        if scope and scope not in known.client.scopes:
            raise AccessDenied(403, f"This API key lacks the scope '{scope}'.", known.client)
        with self._lock:
            self._used[known.id] = now
        return known.client

    def client_of(self, key: str) -> Client | None:
        """Return the client whose key begins so as it is now, ``None`` if it is served no more.

        Without a key it is the anonymous one.
        """
        if not key:
            return ANONYMOUS
        now = datetime.now(UTC)
        for known in (self._keys.value or {}).values():
            if known.client.key == key and (known.expires_at is None or known.expires_at > now):
                return known.client
        return None

    def still_serves(self, client: Client) -> bool:
        """Return whether a client that was authenticated before is served as it was then.

        It is not once its key is revoked, has expired or has other limits.
        """
        if self._mode == "off":
            return True
        if client == ANONYMOUS:
            return self.known and not self.required
        now = datetime.now(UTC)
        return any(
            known.client == client and (known.expires_at is None or known.expires_at > now)
            for known in (self._keys.value or {}).values()
        )


@lru_cache(maxsize=1024)
def _is_this_machine(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def _known_keys() -> dict[str, KnownKey]:
    return {key.digest: known_key(key) for key in keys_load()}


def known_key(key: ApiKey) -> KnownKey:
    """Return a stored key as requests are authenticated by it."""
    project = key.project
    client = Client(
        key=key.prefix,
        user=key.user,
        tenant=tenant_of(key),
        project=project.name if project else "",
        tags=tuple(project.tags) if project else (),
        models=tuple(key.model_names),
        scopes=frozenset(key.scopes),
        requests_per_minute=key.requests_per_minute,
        tokens_per_minute=key.tokens_per_minute,
        concurrent_requests=key.concurrent_requests,
        quality_target=key.quality_target,
        cost_cap=key.cost_cap,
        auto_route=key.auto_route,
        strict=key.strict,
        residency=frozenset(key.residency),
    )
    networks = tuple(ipaddress.ip_network(text, strict=False) for text in key.addresses)
    return KnownKey(key.pk, client, networks, key.expires_at)
