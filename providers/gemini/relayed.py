"""Pass a request of Gemini's own API on: as it came, but for what belongs to this service.

The API's reader opens the seals of this service. A part with reasoning that was sealed holds
its author and its signature under :data:`OPENED`, for the model that gets it to judge.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from providers import features
from providers.completion import CompletionRequest
from providers.gemini.contents import NO_SIGNATURE
from providers.gemini.thinking import thinking_config
from providers.open_calls import with_responses

OPENED = "optimizerSeal"
_FIELDS_NOT_SENT = frozenset({"model", "optimizer"})
_SAMPLING = {
    features.TEMPERATURE: ("temperature",),
    features.TOP_P: ("topP", "top_p"),
    features.TOP_K: ("topK", "top_k"),
    features.SEED: ("seed",),
    features.PENALTIES: (
        "presencePenalty", "presence_penalty", "frequencyPenalty", "frequency_penalty",
    ),
}  # fmt: skip


def relayed_payload(request: CompletionRequest, provider: str) -> dict[str, Any]:
    """Return the body that came in, fit for the model that was chosen."""
    chat = request.chat
    assert chat.source is not None
    body = {k: v for k, v in chat.source.body.items() if k not in _FIELDS_NOT_SENT}
    if chat.sealed and isinstance(body.get("contents"), list):
        author = (provider, request.model)
        contents = [_content(content, author) for content in body["contents"]]
        body["contents"] = [content for content in contents if content is not None]
    if chat.chosen:
        if len(chat.messages) > 1 and isinstance(body.get("contents"), list):
            body["contents"] = with_responses(body["contents"])
        _adapt(body, request)
    if chat.max_tokens is not None:
        _limit(body, chat.max_tokens)
    return body


def _content(content: Any, author: tuple[str, str]) -> Any:
    """Return the content with its seals resolved; ``None`` if nothing is left of it."""
    parts = content.get("parts") if isinstance(content, Mapping) else None
    if not isinstance(parts, list) or not any(
        isinstance(part, Mapping) and OPENED in part for part in parts
    ):
        return content
    whole = [_part(part, author) for part in parts]
    whole = [part for part in whole if part is not None]
    return {**content, "parts": whole} if whole else None


def _part(part: Any, author: tuple[str, str]) -> Any:
    if not isinstance(part, Mapping) or OPENED not in part:
        return part
    opened = part[OPENED]
    rest = {k: v for k, v in part.items() if k != OPENED}
    own = (opened["provider"], opened["model"]) == author
    if "functionCall" in rest or "function_call" in rest:
        return {**rest, "thoughtSignature": opened["signature"] if own else NO_SIGNATURE}
    if not own:
        return None
    if opened["signature"]:
        rest["thoughtSignature"] = opened["signature"]
    if opened["text"]:
        return {**rest, "text": opened["text"], "thought": True}
    rest.pop("thought", None)
    return {**rest, "text": ""} if opened["signature"] else None


def _adapt(body: dict[str, Any], request: CompletionRequest) -> None:
    """Leave out what the model lacks: this service chose it, not the client."""
    name = "generation_config" if "generation_config" in body else "generationConfig"
    config = body.get(name)
    if not isinstance(config, Mapping):
        return
    config = dict(config)
    for feature in request.lacks & _SAMPLING.keys():
        for field in _SAMPLING[feature]:
            config.pop(field, None)
    asked = [config.pop(field, None) for field in ("thinkingConfig", "thinking_config")]
    given = next((value for value in asked if isinstance(value, Mapping)), None)
    if given is not None and features.REASONING not in request.lacks:
        fit = thinking_config(request.chat, request.model)
        shown = given.get("includeThoughts", given.get("include_thoughts"))
        if fit and shown is not None:
            fit["includeThoughts"] = shown
        if fit:
            config["thinkingConfig"] = fit
    body[name] = config


def _limit(body: dict[str, Any], most: int) -> None:
    """Set the limit of the answer; rules and budgets may have lowered the client's."""
    name = "generation_config" if "generation_config" in body else "generationConfig"
    config = body.get(name)
    config = dict(config) if isinstance(config, Mapping) else {}
    field = "max_output_tokens" if "max_output_tokens" in config else "maxOutputTokens"
    if config.get(field) in (most, str(most)):
        return
    body[name] = {**config, field: most}
