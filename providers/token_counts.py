"""The counts of tokens in one report of usage, in whichever dialect it is.

Dialects: https://platform.openai.com/docs/api-reference/chat/object (``prompt_tokens``),
https://platform.openai.com/docs/api-reference/responses/object (``input_tokens``),
https://docs.anthropic.com/en/api/messages (``cache_read_input_tokens``),
https://ai.google.dev/api/generate-content#UsageMetadata (``promptTokenCount``),
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_TokenUsage.html
(``inputTokens``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

_MOST_TOKENS = 2_000_000_000
_NOTHING: Mapping[str, Any] = {}

_INPUT = ("prompt_tokens", "input_tokens", "inputTokens", "inputTokenCount", "promptTokens")
_OUTPUT = (
    "completion_tokens", "output_tokens", "outputTokens", "outputTokenCount", "completionTokens",
)  # fmt: skip
_GEMINI_INPUT = ("promptTokenCount", "prompt_token_count")
_GEMINI_OUTPUT = ("candidatesTokenCount", "candidates_token_count")
_GEMINI_THOUGHTS = ("thoughtsTokenCount", "thoughts_token_count")
_GEMINI_INPUT_MEDIA = (
    "promptTokensDetails",
    "prompt_tokens_details",
    "toolUsePromptTokensDetails",
    "tool_use_prompt_tokens_details",
)
_MODALITY_COUNT = ("tokenCount", "token_count")
_TOTAL = ("total_tokens", "totalTokenCount", "totalTokens", "total_token_count")
# OpenAI's transcriptions have the last of them.
_INPUT_DETAILS = (
    "prompt_tokens_details", "input_tokens_details", "prompt_token_details", "input_token_details",
    "promptTokensDetails", "inputTokensDetails",
)  # fmt: skip
_OUTPUT_DETAILS = (
    "completion_tokens_details", "output_tokens_details", "completionTokensDetails",
    "outputTokensDetails",
)  # fmt: skip
# With these names, the cached tokens are counted beside the input, not within it.
_READ_BESIDE = ("cache_read_input_tokens", "cacheReadInputTokens", "cacheReadInputTokenCount")
_WRITTEN_BESIDE = (
    "cache_creation_input_tokens",
    "cacheWriteInputTokens",
    "cacheWriteInputTokenCount",
)
# DeepSeek's name, Moonshot's, Mistral's (https://api-docs.deepseek.com/guides/kv_cache), then
# those of gateways and SDKs.
_READ_WITHIN = (
    "prompt_cache_hit_tokens", "cached_tokens", "num_cached_tokens", "cache_read_tokens",
    "cached_input_tokens", "input_cached_tokens", "cached_prompt_tokens",
    "cached_prompt_text_tokens", "prompt_cached_tokens", "cachedInputTokens", "cachedTokens",
)  # fmt: skip
# The names among the details of the input.
_READ_OF_DETAILS = (
    "cached_tokens", "cachedTokens", "cache_read_tokens", "cached_read_tokens",
    "cache_read_input_tokens", "prompt_cache_hit_tokens",
)  # fmt: skip
# Qwen's name is Anthropic's, but stands among the details of the input, and within it:
# https://www.alibabacloud.com/help/en/model-studio/context-cache
_WRITTEN_WITHIN = (
    "cache_write_tokens", "cache_creation_tokens", "cached_write_tokens",
    "cache_creation_input_tokens",
)  # fmt: skip
_WRITTEN_BY_NAME = ("cache_write_tokens", "cache_creation_tokens")
_REASONING = ("reasoning_tokens", "reasoningTokens")
# What was written to the cache by its age, where Anthropic, Qwen and LiteLLM say it.
_WRITTEN_BY_AGE = ("cache_creation", "cache_creation_token_details")

Counts = dict[str, int | None]
_NO_OUTPUT_MEDIA: Counts = dict.fromkeys(("audio_out", "image_out", "video_out"))
_NO_INPUT_MEDIA: Counts = dict.fromkeys(
    ("audio_in", "image_in", "video_in", "audio_read", "image_read")
)


def token_counts(reported: Mapping[str, Any]) -> Counts:
    """Return the counts by kind; ``None`` is a count that the report does not say."""
    if any(name in reported for name in (*_GEMINI_INPUT, *_GEMINI_OUTPUT, *_GEMINI_THOUGHTS)):
        return _gemini_counts(reported)
    return _openai_and_anthropic_counts(reported)


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


def _openai_and_anthropic_counts(reported: Mapping[str, Any]) -> Counts:
    within, out = _part(reported, _INPUT_DETAILS), _part(reported, _OUTPUT_DETAILS)
    tokens_in = _first(reported, _INPUT)
    read_within = _first(within, _READ_OF_DETAILS) if within else None
    read = read_within or _first(reported, _READ_WITHIN)
    written, hour = _written(within) if within else (None, None)
    written = written or _first(reported, _WRITTEN_BY_NAME)
    read_beside, written_beside = _first(reported, _READ_BESIDE), _first(reported, _WRITTEN_BESIDE)
    by_age, of_an_hour = _written_by_age(reported)
    hour = of_an_hour or hour
    written_beside = written_beside or by_age
    if read_beside is not None or written_beside is not None:
        # Some servers say OpenAI's counts, which include the cached tokens, and add these.
        includes = _first(reported, ("prompt_tokens",)) or (
            read_within is not None and _adds_up(reported)
        )
        if tokens_in is not None and not includes:
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
        "reasoning": _first(out, (*_REASONING, "thinking_tokens")) or _first(reported, _REASONING),
        "citations": _first(reported, ("citation_tokens",)),
        **(_input_media(within) if within else _NO_INPUT_MEDIA),
        **(_output_media(out) if out else _NO_OUTPUT_MEDIA),
    }


def _adds_up(reported: Mapping[str, Any]) -> bool:
    """Return whether input and output are the whole total: nothing is counted beside them."""
    counts = (_first(reported, names) for names in (_INPUT, _OUTPUT, _TOTAL))
    tokens_in, tokens_out, total = counts
    return bool(total) and total == (tokens_in or 0) + (tokens_out or 0)


def _written(within: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """Return the tokens of the input that were written to the cache, and those for an hour."""
    by_age, hour = _written_by_age(within)
    return _first(within, _WRITTEN_WITHIN) or by_age, hour


def _written_by_age(report: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """Return the tokens written to the cache and those for an hour, as counted by their age."""
    created = _part(report, _WRITTEN_BY_AGE)
    if created:
        hour = _first(created, ("ephemeral_1h_input_tokens",)) or 0
        return hour + (_first(created, ("ephemeral_5m_input_tokens",)) or 0), hour
    # Amazon Bedrock: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_CacheDetail.html
    details = report.get("cacheDetails")
    if not isinstance(details, list):
        return None, None
    total = hour = 0
    for item in details:
        if isinstance(item, Mapping):
            tokens = _first(item, ("inputTokens",)) or 0
            total, hour = total + tokens, hour + (tokens if item.get("ttl") == "1h" else 0)
    return total, hour


def _input_media(within: Mapping[str, Any]) -> Counts:
    cached = within.get("cached_tokens_details")
    cached = cached if isinstance(cached, Mapping) else _NOTHING
    return {
        "audio_in": _first(within, ("audio_tokens",)),
        "image_in": _first(within, ("image_tokens",)),
        "video_in": _first(within, ("video_tokens",)),
        "audio_read": _first(cached, ("audio_tokens",)),
        "image_read": _first(cached, ("image_tokens",)),
    }


def _output_media(out: Mapping[str, Any]) -> Counts:
    return {
        "audio_out": _first(out, ("audio_tokens",)),
        "image_out": _first(out, ("image_tokens",)),
        "video_out": _first(out, ("video_tokens",)),
    }


def _gemini_counts(reported: Mapping[str, Any]) -> Counts:
    tokens_in, total = _first(reported, _GEMINI_INPUT), _first(reported, _TOTAL)
    tools = _first(reported, ("toolUsePromptTokenCount", "tool_use_prompt_token_count"))
    if tokens_in is not None:
        tokens_in += tools or 0
    thoughts, candidates = _first(reported, _GEMINI_THOUGHTS), _first(reported, _GEMINI_OUTPUT)
    tokens_out = None
    given = _modalities(reported, *_GEMINI_INPUT_MEDIA)
    cached = _modalities(reported, "cacheTokensDetails", "cache_tokens_details")
    written = _modalities(reported, "candidatesTokensDetails", "candidates_tokens_details")
    # Thinking is billed as output but reported beside it. A count of zero is left out.
    if candidates is not None or (thoughts is not None and total is None):
        tokens_out = (candidates or 0) + (thoughts or 0)
    return {
        "input": tokens_in,
        "output": tokens_out,
        "total": total,
        "read": _first(reported, ("cachedContentTokenCount", "cached_content_token_count"))
        or (sum(cached.values()) if cached else None),
        "written": None,
        "hour": None,
        "reasoning": thoughts,
        "citations": None,
        "audio_in": given.get("AUDIO"),
        "image_in": given.get("IMAGE"),
        "video_in": given.get("VIDEO"),
        "audio_read": cached.get("AUDIO"),
        "image_read": cached.get("IMAGE"),
        "audio_out": written.get("AUDIO"),
        "image_out": written.get("IMAGE"),
        "video_out": written.get("VIDEO"),
    }


def _modalities(reported: Mapping[str, Any], *names: str) -> dict[str, int]:
    """Return the tokens by modality in Gemini's lists of them."""
    tokens: dict[str, int] = {}
    for details in map(reported.get, names):
        for item in details if isinstance(details, list) else ():
            if isinstance(item, Mapping):
                modality, number = item.get("modality"), _first(item, _MODALITY_COUNT)
                if isinstance(modality, str) and number:
                    modality = modality.upper()
                    tokens[modality] = tokens.get(modality, 0) + number
    return tokens
