"""What an endpoint is asked and what it replies, whoever serves it."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from optimizer.domain.client import Client
from optimizer.wiring.services import Services


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """One request: its body read as JSON, who sent it, and ``header`` for what else it says
    (lower-case name; empty where it is not there).
    """

    data: Any
    request_id: uuid.UUID
    client: Client
    header: Callable[[str], str]


@dataclass(frozen=True, slots=True)
class JsonReply:
    """A reply in one piece, to be sent as JSON."""

    body: Mapping[str, Any]
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StreamReply:
    """A reply of server-sent events. However it ends, ``source`` is closed and ``leave``
    called.
    """

    source: AsyncGenerator[bytes, None]
    leave: Callable[[], None]
    headers: Mapping[str, str] = field(default_factory=dict)


Reply = JsonReply | StreamReply


class ApiEndpoint(Protocol):
    """Answers a POST in the shape of its API."""

    @classmethod
    def of(cls, services: Services) -> Self:
        """Build the endpoint with what it needs of ``services``."""
        ...

    async def answer(self, api_request: ApiRequest) -> Reply:
        """Return the reply; what this raises is for :meth:`failed`."""
        ...

    def failed(self, request_id: uuid.UUID, error: Exception) -> JsonReply:
        """Return the reply that reports ``error`` as the API does."""
        ...
