"""OpenTelemetry's conventions for generative AI, as far as a request's record has the data.

https://opentelemetry.io/docs/specs/semconv/gen-ai/ (names, attributes, buckets).
"""

from __future__ import annotations

from typing import Any

from analytics.models import RequestRecord
from optimizer.domain.request import NO_CHATS

DURATIONS = (
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
)  # fmt: skip
"""Buckets of ``gen_ai.client.operation.duration``, seconds."""
TOKENS = (
    1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864,
)  # fmt: skip
"""Buckets of ``gen_ai.client.token.usage``."""
FIRST_TOKEN = (
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
)  # fmt: skip
"""Buckets of ``gen_ai.server.time_to_first_token``, seconds."""


def operation_of(request: RequestRecord) -> str:
    """Return the value of ``gen_ai.operation.name``; the endpoint for what is no chat."""
    return request.endpoint if request.endpoint in NO_CHATS else "chat"


def attributes_of_call(request: RequestRecord) -> dict[str, Any]:
    """Return the attributes that distinguish metrics of provider calls."""
    return {
        "gen_ai.operation.name": operation_of(request),
        "gen_ai.provider.name": request.provider,
        "gen_ai.request.model": request.model,
    }


def seconds_of_call(request: RequestRecord) -> float:
    """Return the seconds spent at the provider; the whole duration if no provider answered."""
    return (request.provider_ms or request.latency_ms) / 1000


def is_call(request: RequestRecord) -> bool:
    """Return whether a provider was called for the request."""
    return bool(request.provider) and not request.cache_hit
