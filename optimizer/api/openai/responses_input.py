"""Converts the input of a Responses request to the messages of a chat completion."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from optimizer.api.http.body_reader import BodyReader

_ROLES = ("user", "assistant", "system", "developer")


def read_input(fields: BodyReader) -> list[dict[str, Any]]:
    """Return the messages for ``input``, which is a string or an array of items."""
    items = fields.required("input")
    if isinstance(items, str):
        return [{"role": "user", "content": items}]
    if not isinstance(items, list) or not items:
        raise fields.error("input", "must be a string or an array of items that is not empty.")
    messages: list[dict[str, Any]] = []
    for item in fields.objects("input"):
        _add(item, messages)
    return messages


def _add(item: BodyReader, messages: list[dict[str, Any]]) -> None:
    kind = item.text("type", "message")
    if kind == "message":
        role = item.choice("role", _ROLES)
        if not role:
            raise item.error("role", "is required.", "missing_required_parameter")
        messages.append({"role": role, "content": _content(item, "content")})
    elif kind == "function_call":
        call = {
            "id": item.text("call_id", required=True),
            "type": "function",
            "function": {
                "name": item.text("name", required=True),
                "arguments": item.text("arguments"),
            },
        }
        if not messages or messages[-1]["role"] != "assistant":
            # Parallel calls and the text before them are one turn.
            messages.append({"role": "assistant", "content": None})
        messages[-1].setdefault("tool_calls", []).append(call)
    elif kind == "function_call_output":
        messages.append(
            {
                "role": "tool",
                "tool_call_id": item.text("call_id", required=True),
                "content": _content(item, "output"),
            }
        )
    elif kind == "reasoning" and not item.has("encrypted_content"):
        return  # the visible reasoning of an earlier answer; no model accepts it as input
    else:
        raise item.error(
            "type", f"items of type {kind} are not supported here.", "unsupported_value"
        )


def _content(item: BodyReader, name: str) -> str | list[dict[str, Any]]:
    value = item.required(name)
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise item.error(name, "must be a string or an array of parts.", "invalid_type")
    return list(_parts(item, name))


def _parts(item: BodyReader, name: str) -> Iterator[dict[str, Any]]:
    for part in item.objects(name):
        kind = part.text("type", required=True)
        if kind in {"input_text", "output_text", "text"}:
            yield {"type": "text", "text": part.text("text", required=True)}
        elif kind == "refusal":
            yield {"type": "refusal", "refusal": part.text("refusal", required=True)}
        elif kind == "input_image" and part.has("image_url"):
            image = {"url": part.text("image_url")}
            if detail := part.text("detail"):
                image["detail"] = detail
            yield {"type": "image_url", "image_url": image}
        else:
            raise part.error(
                "type", f"parts of type {kind} are not supported here.", "unsupported_value"
            )
