"""Read the usage that a provider reports: any wire's dialect, and whatever its mistakes.

A count that is not a number from 0 to 2 billion is unknown. Servers mix the dialects of the
wires, so all names are read on every wire. Nothing here raises an error for what was sent.

Dialects: https://platform.openai.com/docs/api-reference/chat/object (``prompt_tokens``),
https://platform.openai.com/docs/api-reference/responses/object (``input_tokens``),
https://docs.anthropic.com/en/api/messages (``cache_read_input_tokens``),
https://ai.google.dev/api/generate-content#UsageMetadata (``promptTokenCount``),
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_TokenUsage.html
(``inputTokens``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from providers.charges import (
    amount,
    reported_cost,
    served_tier,
    web_searches,
    with_hosted_searches,
)
from providers.completion import Usage

_MOST_TOKENS = 2_000_000_000
_NOTHING: Mapping[str, Any] = {}

_INPUT = ("prompt_tokens", "input_tokens", "inputTokens", "inputTokenCount")
_OUTPUT = ("completion_tokens", "output_tokens", "outputTokens", "outputTokenCount")
_GEMINI_INPUT = ("promptTokenCount", "prompt_token_count")
_GEMINI_OUTPUT = ("candidatesTokenCount", "candidates_token_count")
_GEMINI_THOUGHTS = ("thoughtsTokenCount", "thoughts_token_count")
_TOTAL = ("total_tokens", "totalTokenCount", "totalTokens", "total_token_count")
_INPUT_DETAILS = ("prompt_tokens_details", "input_tokens_details")
_OUTPUT_DETAILS = ("completion_tokens_details", "output_tokens_details")
# With these names, the cached tokens are counted beside the input, not within it.
_READ_BESIDE = ("cache_read_input_tokens", "cacheReadInputTokens", "cacheReadInputTokenCount")
_WRITTEN_BESIDE = (
    "cache_creation_input_tokens",
    "cacheWriteInputTokens",
    "cacheWriteInputTokenCount",
)
# DeepSeek's name, then Moonshot's: https://api-docs.deepseek.com/guides/kv_cache
_READ_WITHIN = ("prompt_cache_hit_tokens", "cached_tokens")
# Where a report stands, and the objects around it: of Groq, of Anthropic's and OpenAI's events.
_NAMES = ("usage", "usageMetadata", "usage_metadata", "amazon-bedrock-invocationMetrics")
_AROUND = ("x_groq", "message", "delta", "response")
_COSTS = frozenset({"cost", "cost_in_usd_ticks"})
_SEARCHES = frozenset(
    {
        "server_tool_use",
        "server_side_tool_usage",
        "server_side_tool_usage_details",
        "num_search_queries",
    }
)


def count(value: Any) -> int | None:
    """Return a usage field as a whole number, ``None`` if it says nothing usable."""
    if type(value) is int:
        return value if 0 <= value <= _MOST_TOKENS else None
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, float) and 0 <= value <= _MOST_TOKENS:  # false for NaN
        return int(value)
    return None


def read_usage(body: Mapping[str, Any]) -> Usage | None:
    """Return the usage that an answer, whole or one event of it, reports; ``None`` if none."""
    usage = body.get("usage")
    if usage and isinstance(usage, Mapping):
        # This is where it stands in all but a few answers.
        complete = read_report(usage, body.get("service_tier"))
        if complete is not None and not complete.unreported:
            return with_hosted_searches(complete, body)
    report = report_in(body)
    complete = read_report(report, body.get("service_tier")) if report else None
    return None if complete is None else with_hosted_searches(complete, body)


def report_in(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return all that ``body`` reports, in the order in which it stands, in one object."""
    report: dict[str, Any] = {}
    for part in _reports(body):
        report = merged(report, part)
    return report


def _reports(body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    choices = body.get("choices")
    for holder in (*(choices if isinstance(choices, list) else ()), body):
        if not isinstance(holder, Mapping):
            continue
        for inner in (*map(holder.get, _AROUND), holder):
            if isinstance(inner, Mapping):
                for value in map(inner.get, _NAMES):
                    for report in value if isinstance(value, list) else (value,):
                        if isinstance(report, Mapping):
                            yield report


class UsageOfStream:
    """Keeps what the events of one stream report: counts are cumulative."""

    def __init__(self) -> None:
        self._report: dict[str, Any] = {}
        self._tier: Any = None

    def add(self, event: Mapping[str, Any], *, ended: bool = True) -> Usage | None:
        """Return the usage so far if ``event`` reports any, else ``None``.

        ``ended`` is false for a report that comes before the output, which it cannot count.
        """
        response = event.get("response")
        for holder in (event, response if isinstance(response, Mapping) else event):
            if isinstance(holder.get("service_tier"), str):
                self._tier = holder["service_tier"]
        report = report_in(event)
        if not report:
            return None
        self._report = merged(self._report, report)
        usage = read_report(self._report, self._tier)
        if usage is not None and "response" in event:
            usage = with_hosted_searches(usage, event)
        if usage is None or ended or "output" in usage.unreported:
            return usage
        return replace(usage, estimated=True, unreported=(*usage.unreported, "output"))


def merged(known: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    """Return a cumulative report with what a ``later`` one adds to it.

    A value that is unusable, or zero after a count, does not replace what was known: some
    servers fill in the closing report with zeros
    (https://github.com/envoyproxy/ai-gateway/issues/1631).
    """
    result = dict(known)
    for name, value in later.items():
        before = result.get(name)
        if isinstance(value, Mapping):
            result[name] = merged(before if isinstance(before, Mapping) else {}, value)
        elif before is None or (not isinstance(before, Mapping) and _replaces(value, before)):
            result[name] = value
    return result


def _replaces(value: Any, before: Any) -> bool:
    return bool(value if amount(before) is None else amount(value))


def read_report(reported: Mapping[str, Any], tier: Any = None) -> Usage | None:
    """Return the usage in one report, ``None`` if it counts nothing.

    ``tier`` is the service tier that stands beside the report. ``unreported`` of the result
    names what the report does not say.
    """
    if any(name in reported for name in (*_GEMINI_INPUT, *_GEMINI_OUTPUT, *_GEMINI_THOUGHTS)):
        counts = _gemini_counts(reported)
    else:
        counts = _counts(reported)
    cost = None if _COSTS.isdisjoint(reported) else reported_cost(reported)
    if not any(counts.values()) and cost is None:
        return None
    return _usage(counts, reported, cost, tier)


def _first(reported: Mapping[str, Any], names: Iterable[str]) -> int | None:
    """Return the first count above zero under one of ``names``, else zero or ``None``."""
    result = None
    for name in names:
        value = reported.get(name)
        if value is not None and (number := count(value)) is not None:
            if number:
                return number
            result = 0
    return result


def _part(reported: Mapping[str, Any], names: Iterable[str]) -> Mapping[str, Any]:
    for name in names:
        value = reported.get(name)
        if value and isinstance(value, Mapping):
            return value
    return _NOTHING


_Counts = dict[str, int | None]


def _counts(reported: Mapping[str, Any]) -> _Counts:
    within, out = _part(reported, _INPUT_DETAILS), _part(reported, _OUTPUT_DETAILS)
    tokens_in = _first(reported, _INPUT)
    read = _first(within, ("cached_tokens",)) or _first(reported, _READ_WITHIN)
    written = _first(within, ("cache_write_tokens", "cache_creation_tokens"))
    hour = None
    read_beside, written_beside = _first(reported, _READ_BESIDE), _first(reported, _WRITTEN_BESIDE)
    if (created := reported.get("cache_creation")) and isinstance(created, Mapping):
        hour = _first(created, ("ephemeral_1h_input_tokens",)) or 0
        by_age = hour + (_first(created, ("ephemeral_5m_input_tokens",)) or 0)
        written_beside = written_beside or by_age
    if read_beside is not None or written_beside is not None:
        # Some servers say OpenAI's prompt_tokens, which include the cached ones, and add these.
        if tokens_in is not None and not _first(reported, ("prompt_tokens",)):
            tokens_in += (read_beside or 0) + (written_beside or 0)
        read, written = read or read_beside, written or written_beside
    if tokens_in is None and reported.get("prompt_cache_miss_tokens") is not None:
        missed = _first(reported, ("prompt_cache_miss_tokens",))
        tokens_in = None if missed is None else missed + (read or 0)
    return {
        "input": tokens_in,
        "output": _first(reported, _OUTPUT),
        "total": _first(reported, _TOTAL),
        "read": read,
        "written": written,
        "hour": hour,
        "reasoning": _first(out, ("reasoning_tokens", "thinking_tokens"))
        or _first(reported, ("reasoning_tokens",)),
        "audio_in": _first(within, ("audio_tokens",)) if within else None,
        "audio_out": _first(out, ("audio_tokens",)) if out else None,
    }


def _gemini_counts(reported: Mapping[str, Any]) -> _Counts:
    tokens_in, total = _first(reported, _GEMINI_INPUT), _first(reported, _TOTAL)
    tools = _first(reported, ("toolUsePromptTokenCount", "tool_use_prompt_token_count"))
    if tokens_in is not None:
        tokens_in += tools or 0
    thoughts, candidates = _first(reported, _GEMINI_THOUGHTS), _first(reported, _GEMINI_OUTPUT)
    tokens_out = None
    # Thinking is billed as output but reported beside it. A count of zero is left out.
    if candidates is not None or (thoughts is not None and total is None):
        tokens_out = (candidates or 0) + (thoughts or 0)
    return {
        "input": tokens_in,
        "output": tokens_out,
        "total": total,
        "read": _first(reported, ("cachedContentTokenCount", "cached_content_token_count")),
        "written": None,
        "hour": None,
        "reasoning": thoughts,
        "audio_in": _modality(reported.get("promptTokensDetails")),
        "audio_out": _modality(reported.get("candidatesTokensDetails")),
    }


def _modality(details: Any) -> int | None:
    """Return the tokens of audio in Gemini's list of modalities."""
    for item in details if isinstance(details, list) else ():
        if isinstance(item, Mapping) and item.get("modality") == "AUDIO":
            return count(item.get("tokenCount"))
    return None


def _usage(counts: _Counts, reported: Mapping[str, Any], cost: Decimal | None, tier: Any) -> Usage:
    tokens_in, tokens_out = _reconciled(counts)
    size, written, read = tokens_in or 0, counts["written"] or 0, counts["read"] or 0
    contradiction = bool(size) and read + written > size
    if contradiction:
        # Which of the counts is wrong is unknown, so no more is taken for cached than fits.
        read = min(read, size)
        written = min(written, size - read)
    reasoning, unreported = counts["reasoning"] or 0, () if size else ("input",)
    if tokens_out is None:
        tokens_out, unreported = reasoning, (*unreported, "output")
    return Usage(
        input_tokens=size,
        output_tokens=tokens_out,
        cache_read_tokens=read,
        cache_write_tokens=written,
        reasoning_tokens=min(reasoning, tokens_out),
        estimated=contradiction or bool(unreported),
        cache_write_1h_tokens=min(counts["hour"] or 0, written),
        audio_input_tokens=min(counts["audio_in"] or 0, size),
        audio_output_tokens=min(counts["audio_out"] or 0, tokens_out),
        web_searches=0 if _SEARCHES.isdisjoint(reported) else web_searches(reported),
        service_tier=served_tier(reported, tier),
        speed="fast" if reported.get("speed") == "fast" else "",
        search_context=_text(reported.get("search_context_size")),
        reported_cost=cost,
        unreported=unreported,
    )


def _reconciled(counts: _Counts) -> tuple[int | None, int | None]:
    """Return the input and the output with what stands beside them, as the total shows."""
    tokens_in, tokens_out, total = counts["input"], counts["output"], counts["total"]
    if total:
        if not tokens_in and tokens_out is not None and total > tokens_out:
            tokens_in = total - tokens_out
        elif tokens_out is None and tokens_in is not None and total >= tokens_in:
            tokens_out = total - tokens_in
    if tokens_in is None or tokens_out is None or total == tokens_in + tokens_out:
        return tokens_in, tokens_out
    reasoning = counts["reasoning"] or 0
    cached = (counts["read"] or 0) + (counts["written"] or 0)
    # xAI counts reasoning beside the completion, and both within the total:
    # https://github.com/vercel/ai/pull/12425
    beside = total == tokens_in + tokens_out + reasoning
    if beside or reasoning > tokens_out:
        return tokens_in, tokens_out + reasoning
    if total == tokens_in + tokens_out + cached:
        return tokens_in + cached, tokens_out
    return tokens_in, tokens_out


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
