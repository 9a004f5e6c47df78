"""A client and the limits that hold for its requests."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

EVERYTHING = frozenset({"complete", "feedback", "read"})


@dataclass(frozen=True, slots=True)
class Client:
    """The client that sends a request.

    ``key`` is the prefix of its API key. ``models`` are the models it may use
    ("provider/model" or "model", with * and ?; empty: all). ``tenant`` names the group of
    clients whose cached answers it shares. A limit of ``None`` means no limit; limits on
    tokens count input and output. ``quality_target`` (0-1) and ``cost_cap`` (USD) hold for
    each request; ``auto_route`` is the default where a request does not set it. ``strict``
    makes every request of the client strict. ``residency`` are the regions that its data must not
    leave.
    """

    key: str = ""
    user: str = ""
    tenant: str = ""
    project: str = ""
    tags: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    scopes: frozenset[str] = EVERYTHING
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent_requests: int | None = None
    quality_target: float | None = None
    cost_cap: Decimal | None = None
    auto_route: bool = False
    strict: bool = False
    residency: frozenset[str] = frozenset()


ANONYMOUS = Client()
"""The client of requests that need no API key."""
