"""Pass a request of OpenAI's Responses API on.

Wire: https://platform.openai.com/docs/api-reference/responses/create
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from providers import features
from providers.chat import SEAL_MARK
from providers.completion import CompletionRequest
from providers.open_calls import with_outputs

_FIELDS_NOT_SENT = frozenset({"model", "optimizer", "stream"})
_DROPPED_IF_LACKED = {
    "temperature": features.TEMPERATURE,
    "top_p": features.TOP_P,
    "reasoning": features.REASONING,
}


def responses_payload(request: CompletionRequest) -> dict[str, Any]:
    """Return the JSON body: as it came, without what only this service understands.

    A conversation without a ``prompt_cache_key`` gets one, by which its next turns find its cache.
    """
    chat = request.chat
    assert chat.source is not None
    body = {k: v for k, v in chat.source.body.items() if k not in _FIELDS_NOT_SENT}
    body["model"] = request.model
    if chat.max_tokens is not None:
        body["max_output_tokens"] = chat.max_tokens
    if chat.chosen:
        if len(chat.messages) > 1 and isinstance(body.get("input"), list):
            body["input"] = with_outputs(body["input"])
        for name, feature in _DROPPED_IF_LACKED.items():
            if feature in request.lacks:
                body.pop(name, None)
    if chat.cache_session:
        body.setdefault("prompt_cache_key", chat.cache_session)
    if chat.sealed and isinstance(body.get("input"), list):
        body["input"] = list(_own_items(body["input"]))
    return body


def _own_items(items: list[Any]) -> Iterator[Any]:
    """Yield the items without the reasoning of other providers' models."""
    for item in items:
        if isinstance(item, dict) and item.get("type") == "reasoning":
            sealed = item.get("encrypted_content")
            if isinstance(sealed, str) and sealed.startswith(SEAL_MARK):
                continue
        yield item
