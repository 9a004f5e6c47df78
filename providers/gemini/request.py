"""Write a chat as a request to Google's generateContent API.

Wire: https://ai.google.dev/api/generate-content
"""

from __future__ import annotations

from typing import Any

from providers import features
from providers.chat import Chat
from providers.gemini.contents import ContentWriter
from providers.gemini.thinking import thinking_config
from providers.gemini.tools import tool_names, tools_payload

# https://ai.google.dev/api/generate-content#generationconfig
_HOTTEST = 2.0
_MOST_STOPS = 5
# Fields of generationConfig, with the feature that a model may lack.
_SAMPLING = {
    "temperature": features.TEMPERATURE,
    "topP": features.TOP_P,
    "topK": features.TOP_K,
    "seed": features.SEED,
    "presencePenalty": features.PENALTIES,
    "frequencyPenalty": features.PENALTIES,
}


def gemini_payload(
    chat: Chat,
    model: str = "",
    provider: str = "",
    lacks: frozenset[str] = frozenset(),
) -> dict[str, Any]:
    """Return the JSON body for ``chat``, for a model without the features in ``lacks``."""
    names = tool_names(chat)
    writer = ContentWriter(
        chat, names, (provider, model), pictures_in_results=not model.startswith(_TWO)
    )
    system, contents = writer.system(), writer.contents()
    if system and not contents:
        # Google rejects a request without a turn.
        contents, system = [{"role": "user", "parts": [{"text": system}]}], ""
    elif not contents:
        # A chat that has nothing to send has no turn either.
        contents = [{"role": "user", "parts": [{"text": "."}]}]
    body: dict[str, Any] = {"contents": contents}
    if system:
        body["systemInstruction"] = {"parts": [{"text": system}]}
    body.update(tools_payload(chat, names, lacks))
    if config := _generation_config(chat, model, lacks):
        body["generationConfig"] = config
    return body


# The generations whose tool results hold text alone.
# https://ai.google.dev/gemini-api/docs/function-calling#multimodal
_TWO = ("gemini-1", "gemini-2")


def _generation_config(chat: Chat, model: str, lacks: frozenset[str]) -> dict[str, Any]:
    temperature = chat.temperature
    config: dict[str, Any] = {
        "maxOutputTokens": chat.max_tokens,
        "temperature": None if temperature is None else min(temperature, _HOTTEST),
        "topP": chat.top_p,
        "topK": chat.top_k,
        "seed": chat.seed,
        "stopSequences": [stop for stop in chat.stop if stop][:_MOST_STOPS] or None,
        "candidateCount": chat.n if chat.n > 1 else None,
        "presencePenalty": chat.presence_penalty,
        "frequencyPenalty": chat.frequency_penalty,
    }
    for name, feature in _SAMPLING.items():
        if feature in lacks:
            config[name] = None
    if features.REASONING not in lacks:
        config["thinkingConfig"] = thinking_config(chat, model) or None
    if chat.output is not None:
        config["responseMimeType"] = "application/json"
        config["responseJsonSchema"] = chat.output.schema
    return {name: value for name, value in config.items() if value is not None}
