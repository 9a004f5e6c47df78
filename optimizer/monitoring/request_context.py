"""Which request is being worked on, wherever its work goes on."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RequestContext:
    """``trace_parent`` is what the client sent as ``traceparent``
    (https://www.w3.org/TR/trace-context/), empty where it sent none.
    """

    request_id: uuid.UUID
    trace_parent: str = ""


CURRENT_REQUEST: ContextVar[RequestContext | None] = ContextVar("current_request", default=None)
"""Tasks begun for a request inherit it."""


def current_request() -> RequestContext | None:
    return CURRENT_REQUEST.get()


@contextmanager
def working_on(request_id: uuid.UUID, trace_parent: str) -> Iterator[None]:
    token = CURRENT_REQUEST.set(RequestContext(request_id, trace_parent))
    try:
        yield
    finally:
        CURRENT_REQUEST.reset(token)
