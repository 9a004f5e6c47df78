"""The JSON columns of the ledger: failed calls, guard rails, billed units and called tools."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from operator import attrgetter
from typing import Any

from providers.completion import Completion, Usage
from providers.resilience import Attempt
from providers.storable import storable_text

_MOST_TOOLS, _LONGEST_TOOL = 32, 64


def tools_called(completion: Completion) -> list[str] | None:
    """Return the names of the tools that an answer calls, in their order; ``None`` for none."""
    calls = [call.name for choice in completion.choices for call in choice.tool_calls]
    return [storable_text(name)[:_LONGEST_TOOL] for name in calls[:_MOST_TOOLS]] or None


_BILLED = (
    "cache_write_1h_tokens", "audio_input_tokens", "audio_output_tokens", "audio_read_tokens",
    "image_input_tokens", "image_output_tokens", "image_read_tokens", "video_input_tokens",
    "video_output_tokens", "web_searches", "preview_searches", "file_searches", "code_sessions",
    "map_prompts", "attachment_searches", "search_sources", "service_tier", "speed", "geography",
    "search_context", "by_gateway",
)  # fmt: skip
billed_fields = attrgetter(*_BILLED)
"""Returns the fields of usage that have no column of their own."""


def billed_units(usage: Usage) -> dict[str, Any] | None:
    """Return what decides a cost beside the ledger's columns; ``None`` if nothing does."""
    units = {name: v for name, v in zip(_BILLED, billed_fields(usage), strict=True) if v}
    if usage.units is not None:
        units |= usage.units.as_json()
    if usage.beside:
        units["beside"] = [
            {
                "model": model,
                "tokens_in": call.input_tokens,
                "tokens_out": call.output_tokens,
                "cache_read_tokens": call.cache_read_tokens,
                "cache_write_tokens": call.cache_write_tokens,
                **(billed_units(call) or {}),
            }
            for model, call in usage.beside
        ]
    return units or None


def describe_attempts(
    attempts: Sequence[Attempt], costs: Sequence[Decimal]
) -> list[dict[str, Any]]:
    """Return failed attempts as they are stored and shown: without secrets and prompts.

    What guard rails found is no attempt: see :func:`describe_rails`.
    """
    return [
        {
            "provider": attempt.provider,
            "model": attempt.model,
            "error": attempt.error,
            "message": attempt.message,
            "status": attempt.status,
            "cost": cost,
            **({"service_tier": attempt.service_tier} if attempt.service_tier else {}),
            **({"member": attempt.member} if attempt.member else {}),
            **_used(attempt.usage),
        }
        for attempt, cost in zip(attempts, costs, strict=True)
        if attempt.rail is None
    ]


def describe_rails(
    attempts: Sequence[Attempt], costs: Sequence[Decimal]
) -> list[dict[str, Any]] | None:
    """Return what guard rails found as it is stored and shown, ``None`` for nothing."""
    return [
        {**attempt.rail, "cost": cost}
        for attempt, cost in zip(attempts, costs, strict=True)
        if attempt.rail is not None
    ] or None


def _used(usage: Usage | None) -> dict[str, Any]:
    if usage is None:
        return {}
    return {
        "tokens_in": usage.input_tokens,
        "tokens_out": usage.output_tokens,
        "estimated": usage.estimated,
    }
