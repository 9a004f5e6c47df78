"""A client, as far as its requests are concerned."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

EVERYTHING = frozenset({"complete", "feedback", "read"})


@dataclass(frozen=True, slots=True)
class Client:
    """``key`` is its key's prefix, ``models`` are those it may use ("provider/model" or
    "model", with * and ?; empty: all), ``tenant`` whose cached answers it shares. Limits of
    ``None`` are none; tokens are those of input and output. ``quality_target`` (0-1) and
    ``cost_cap`` (USD) hold for each request, ``auto_route`` where it does not say.
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


ANONYMOUS = Client()
"""Where no keys are asked for."""
