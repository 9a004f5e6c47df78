"""Reads ``generationConfig``: sampling, limits, reasoning and the form of the answer.

Format: https://ai.google.dev/api/generate-content#generationconfig
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optimizer.api.gemini.request_reader.fields import ProtoReader
from optimizer.api.gemini.request_reader.schemas import json_schema
from optimizer.gateway.chat_requests import MAX_TOKENS
from providers.chat import JsonOutput, Reasoning

# Fields that other APIs do without: they tune the answer and do not change its kind.
_TUNING = frozenset(
    {"mediaResolution", "enableEnhancedCivicAnswers", "audioTimestamp", "routingConfig"}
)
_EFFORTS = {"MINIMAL": "minimal", "LOW": "low", "MEDIUM": "medium", "HIGH": "high"}
_MOST_CHOICES = 128


def read_config(fields: ProtoReader) -> tuple[dict[str, Any], tuple[str, ...], tuple[str, ...]]:
    """Return the fields of a chat that the request sets, the binding ones and the extras.

    What has the wrong type is left to Google's own API to refuse.
    """
    config = fields.part("generationConfig")
    if config is None:
        return {}, (), ()
    limit = config.whole("maxOutputTokens")
    count = config.whole("candidateCount")
    logprobs = config.is_set("responseLogprobs")
    top_k = config.real("topK")
    chat = {
        "max_tokens": limit if limit is not None and 1 <= limit <= MAX_TOKENS else None,
        "temperature": config.real("temperature"),
        "top_p": config.real("topP"),
        "top_k": None if top_k is None else int(top_k),
        "seed": config.whole("seed"),
        "stop": _texts(config.raw("stopSequences")),
        "n": 1 if count is None else min(max(count, 1), _MOST_CHOICES),
        "presence_penalty": config.real("presencePenalty"),
        "frequency_penalty": config.real("frequencyPenalty"),
        "logprobs": logprobs,
        "top_logprobs": config.whole("logprobs") if logprobs else None,
        "reasoning": _read_reasoning(config.part("thinkingConfig")),
        "output": _read_output(config),
    }
    native = list(_native(config))
    extras: list[str] = []
    for name in config.unread_effective():
        (extras if name in _TUNING else native).append(f"generationConfig.{name}")
    return chat, tuple(native), tuple(extras)


def _texts(value: Any) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    return tuple(item for item in values if isinstance(item, str) and item)


def _native(config: ProtoReader) -> list[str]:
    native = []
    modalities = config.raw("responseModalities")
    if any(kind.upper() not in {"TEXT", "MODALITY_UNSPECIFIED"} for kind in _texts(modalities)):
        native.append("generationConfig.responseModalities")
    kind = config.word("responseMimeType").partition(";")[0]
    if kind not in {"", "text/plain", "application/json"}:
        native.append("generationConfig.responseMimeType")
    return native


def _read_output(config: ProtoReader) -> JsonOutput | None:
    names = ("responseJsonSchema", "_responseJsonSchema", "ResponseJsonSchema")
    schemas = [config.raw(name) for name in names]
    schema = next((value for value in schemas if isinstance(value, Mapping)), None)
    openapi = config.raw("responseSchema")
    if schema is None and isinstance(openapi, Mapping):
        schema = json_schema(openapi)
    if config.word("responseMimeType").partition(";")[0] != "application/json":
        return None
    return JsonOutput(schema or None)


def _read_reasoning(config: ProtoReader | None) -> Reasoning | None:
    if config is None:
        return None
    budget = config.whole("thinkingBudget")
    effort = _EFFORTS.get(config.word("thinkingLevel").upper().removeprefix("THINKING_LEVEL_"), "")
    shown = config.raw("includeThoughts")
    reasoning = Reasoning(
        effort="none" if budget == 0 else effort,
        budget=budget if budget is not None and budget > 0 else None,
        adaptive=budget == -1,
        shown={True: "summarized", False: "omitted"}.get(shown, "")
        if isinstance(shown, bool)
        else "",
    )
    return None if reasoning in (Reasoning(), Reasoning(shown="omitted")) else reasoning
