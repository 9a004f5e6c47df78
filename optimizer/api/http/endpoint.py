"""Requests and replies of the endpoints, independent of the server that carries them."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from optimizer.api.http.failure import Failure
from optimizer.domain.client import Client
from optimizer.wiring.services import Services
from providers.values import frozen


@frozen
class ApiRequest:
    """One request: ``data`` is its JSON body, ``client`` its sender.

    ``header`` returns a header by its lower-case name; empty if it is absent. ``large`` is
    whether reading the body would hold up the event loop. ``path`` and ``query`` are those of
    the URL, for APIs that name the model there. ``sent`` is the body as it came, if ``data``
    has something else in place of references. ``continued`` is the session of the answer that the
    request goes on from, where it names one. What ``kept`` holds of a large request is given
    back in steps at its end.
    """

    data: Any
    request_id: uuid.UUID
    client: Client
    header: Callable[[str], str]
    large: bool = False
    path: str = ""
    query: str = ""
    sent: Any = None
    continued: str = ""
    kept: list[Any] = field(default_factory=list)


@frozen
class JsonReply:
    """A reply that is sent as one JSON object; ``body`` may be JSON already.

    ``failure`` is what it reports, if anything. A ``large`` body is written on a thread.
    """

    body: Mapping[str, Any] | bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    failure: Failure | None = None
    large: bool = False


@dataclass(frozen=True, slots=True)
class StreamReply:
    """A reply of server-sent events, unless ``headers`` name another content type.

    However it ends, the sender closes ``source`` and calls ``leave``.
    """

    source: AsyncGenerator[bytes, None]
    leave: Callable[[], None]
    headers: Mapping[str, str] = field(default_factory=dict)


Reply = JsonReply | StreamReply


class ApiEndpoint(Protocol):
    """Answers a POST in the format of its API."""

    @classmethod
    def of(cls, services: Services) -> Self:
        """Build the endpoint with what it needs of ``services``."""
        ...

    async def answer(self, api_request: ApiRequest) -> Reply:
        """Return the reply; the caller passes errors to :meth:`failed`."""
        ...

    def failed(self, request_id: uuid.UUID, error: Exception) -> JsonReply:
        """Return the reply that reports ``error`` in the format of the API."""
        ...
