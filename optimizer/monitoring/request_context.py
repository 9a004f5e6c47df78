"""The request that the current task works on."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from providers.values import frozen


@frozen
class RequestContext:
    """The ids of a request and its trace.

    ``trace_parent`` is the client's ``traceparent`` header
    (https://www.w3.org/TR/trace-context/), empty if it sent none.
    """

    request_id: uuid.UUID
    trace_parent: str = ""


CURRENT_REQUEST: ContextVar[RequestContext | None] = ContextVar("current_request", default=None)
"""Tasks that are started for a request inherit it."""


def current_request() -> RequestContext | None:
    """Return the current request; ``None`` outside of one."""
    return CURRENT_REQUEST.get()


@contextmanager
def working_on(request_id: uuid.UUID, trace_parent: str) -> Iterator[None]:
    """Set the current request inside the ``with`` block."""
    token = CURRENT_REQUEST.set(RequestContext(request_id, trace_parent))
    try:
        yield
    finally:
        CURRENT_REQUEST.reset(token)
