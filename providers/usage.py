"""Read the usage that a provider reports: any wire's dialect, and whatever its mistakes.

A count that is not a number from 0 to 2 billion is unknown. Servers mix the dialects of the
wires, so all names are read on every wire. Nothing here raises an error for what was sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from providers.charges import (
    amount,
    gateway_report,
    reported_cost,
    reported_tools,
    served_geography,
    served_tier,
    with_hosted_tools,
)
from providers.completion import Usage
from providers.token_counts import Counts, count, token_counts

# Where a report stands, and the objects around it: of Groq, of Anthropic's and OpenAI's events,
# of Cohere.
# Cohere says beside all tokens those that it bills: https://docs.cohere.com/reference/embed
_NAMES = (
    "usage", "usageMetadata", "usage_metadata", "amazon-bedrock-invocationMetrics", "billed_units",
)  # fmt: skip
_AROUND = ("x_groq", "message", "delta", "response", "meta")
# More than any model thinks: such a total is a mistake.
_MOST_THOUGHTS = 300_000
_CACHED = ("cache_read_input_tokens", "cache_creation_input_tokens")
_BESIDE = frozenset({"compaction", "advisor_message"})
_COSTS = frozenset({"cost", "cost_in_usd_ticks", "estimated_cost"})
_TOOLS = frozenset(
    {
        "server_tool_use",
        "server_side_tool_usage",
        "server_side_tool_usage_details",
        "num_search_queries",
        "num_sources_used",
        "plugins",
        "x_tools",
    }
)


def read_usage(body: Mapping[str, Any]) -> Usage | None:
    """Return the usage that an answer, whole or one event of it, reports; ``None`` if none."""
    usage = body.get("usage")
    if usage and isinstance(usage, Mapping) and "provider_metadata" not in body:
        # This is where it stands in all but a few answers.
        complete = read_report(usage, body.get("service_tier"))
        if complete is not None and not complete.unreported:
            return with_hosted_tools(complete, body)
    report = report_in(body)
    complete = read_report(report, body.get("service_tier")) if report else None
    return None if complete is None else with_hosted_tools(complete, body)


def read_embedded_usage(body: Mapping[str, Any]) -> Usage | None:
    """Return the usage that an answer with embeddings reports: all tokens of it are input."""
    # Voyage reports the total alone: https://docs.voyageai.com/reference/embeddings-api
    report = {**report_in(body), "completion_tokens": 0}
    return read_report(report, body.get("service_tier"))


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
                            if isinstance(billed := report.get("billed_units"), Mapping):
                                yield billed
                if "provider_metadata" in inner:
                    yield gateway_report(inner)


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
            usage = with_hosted_tools(usage, event)
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
    if _all_was_cached(known, later):
        del result["input_tokens"]
    for name, value in later.items():
        before = result.get(name)
        if isinstance(value, Mapping):
            result[name] = merged(before if isinstance(before, Mapping) else {}, value)
        elif before is None or (not isinstance(before, Mapping) and _replaces(value, before)):
            result[name] = value
    return result


def _all_was_cached(known: Mapping[str, Any], later: Mapping[str, Any]) -> bool:
    """Return whether the input that was known is what a later report counts as cached."""
    if count(later.get("input_tokens")) != 0 or not (size := count(known.get("input_tokens"))):
        return False
    before, cached = (sum(count(r.get(name)) or 0 for name in _CACHED) for r in (known, later))
    return not before and cached == size


def _replaces(value: Any, before: Any) -> bool:
    return bool(value if amount(before) is None else amount(value))


def read_report(reported: Mapping[str, Any], tier: Any = None) -> Usage | None:
    """Return the usage in one report, ``None`` if it counts nothing.

    ``tier`` is the service tier that stands beside the report. ``unreported`` of the result
    names what the report does not say.
    """
    counts = token_counts(reported)
    cost = None if _COSTS.isdisjoint(reported) else reported_cost(reported)
    if not any(counts.values()) and cost is None:
        return None
    return _usage(counts, reported, cost, tier)


def _usage(counts: Counts, reported: Mapping[str, Any], cost: Decimal | None, tier: Any) -> Usage:
    tokens_in, tokens_out, is_assumed = _reconciled(counts)
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
        estimated=contradiction or is_assumed or bool(unreported),
        cache_write_1h_tokens=min(counts["hour"] or 0, written),
        audio_input_tokens=min(counts["audio_in"] or 0, size),
        audio_output_tokens=min(counts["audio_out"] or 0, tokens_out),
        image_input_tokens=min(counts["image_in"] or 0, size),
        image_output_tokens=min(counts["image_out"] or 0, tokens_out),
        video_input_tokens=min(counts["video_in"] or 0, size),
        audio_read_tokens=min(counts["audio_read"] or 0, read),
        image_read_tokens=min(counts["image_read"] or 0, read),
        video_output_tokens=min(counts["video_out"] or 0, tokens_out),
        service_tier=served_tier(reported, tier),
        speed="fast" if reported.get("speed") == "fast" else "",
        geography=served_geography(reported) if "inference_geo" in reported else "",
        search_context=_text(reported.get("search_context_size")),
        reported_cost=cost,
        unreported=unreported,
        beside=_iterations(reported["iterations"], tier) if "iterations" in reported else (),
        **({} if _TOOLS.isdisjoint(reported) else reported_tools(reported)),
    )


def _iterations(iterations: Any, tier: Any) -> tuple[tuple[str, Usage], ...]:
    """Return the calls that Anthropic counts beside the report's own tokens.

    A compaction is one of the call's model, advice is one of its own model; the others are
    counted in the report, or not billed:
    https://platform.claude.com/docs/en/build-with-claude/compaction and
    https://github.com/miiiiiiich/agent-walker/pull/39
    """
    calls: list[tuple[str, Usage]] = []
    for item in iterations if isinstance(iterations, list) else ():
        if isinstance(item, Mapping) and item.get("type") in _BESIDE:
            usage = read_report({k: v for k, v in item.items() if k != "iterations"}, tier)
            if usage is not None:
                model = item.get("model") if item["type"] == "advisor_message" else ""
                calls.append((_text(model), usage))
    return tuple(calls)


def _reconciled(counts: Counts) -> tuple[int | None, int | None, bool]:
    """Return the input and the output with what stands beside them, as the total shows.

    The third value is whether it is assumed which of the two the rest of the total is.
    """
    tokens_in, tokens_out, total = counts["input"], counts["output"], counts["total"]
    if total:
        if not tokens_in and tokens_out is not None and total > tokens_out:
            tokens_in = total - tokens_out
        elif tokens_out is None and tokens_in is not None and total >= tokens_in:
            tokens_out = total - tokens_in
    reasoning = counts["reasoning"] or 0
    if (citations := counts["citations"]) is not None:
        # Perplexity counts what its research read and thought beside both, and not in the total:
        # https://docs.perplexity.ai/getting-started/models/models/sonar-deep-research
        return (tokens_in or 0) + citations, (tokens_out or 0) + reasoning, False
    if tokens_in is None or tokens_out is None or total == tokens_in + tokens_out:
        return tokens_in, tokens_out, False
    cached = (counts["read"] or 0) + (counts["written"] or 0)
    # xAI counts reasoning beside the completion, and both within the total:
    # https://github.com/vercel/ai/pull/12425
    beside = total == tokens_in + tokens_out + reasoning
    if beside or reasoning > tokens_out:
        return tokens_in, tokens_out + reasoning, False
    if total == tokens_in + tokens_out + cached:
        return tokens_in + cached, tokens_out, False
    if total and 0 < total - tokens_in - tokens_out <= _MOST_THOUGHTS:
        # Gemini's thoughts, which its API for clients of OpenAI counts in the total alone:
        # https://github.com/mozilla-ai/any-llm/issues/1290
        return tokens_in, total - tokens_in, True
    return tokens_in, tokens_out, False


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
