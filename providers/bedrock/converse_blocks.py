"""Put Anthropic's content blocks into the words of Bedrock's Converse API, and back.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ContentBlock.html
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

Block = dict[str, Any]
_LONGEST_ID = 64
_FORMATS = {
    "application/pdf": "pdf",
    "text/plain": "txt",
    "text/csv": "csv",
    "text/html": "html",
    "text/markdown": "md",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
}
_BAD_IN_NAME = re.compile(r"[^a-zA-Z0-9\s()\[\]-]|\s(?=\s)")
_LONGEST_NAME = 200
_NOTHING = "."


def content_blocks(blocks: list[Block], *, marks: bool) -> list[Block]:
    """Return ``blocks``, with a cache point after each marked one if ``marks``."""
    written: list[Block] = []
    for block in blocks:
        if (one := _written(block)) is None:
            continue
        written.append(one)
        if marks and (mark := block.get("cache_control")):
            written.append(cache_point(mark))
    if any("document" in block for block in written) and not any("text" in b for b in written):
        # A turn with a document must have a text.
        written.append({"text": _NOTHING})
    return written


def cache_point(mark: Mapping[str, str]) -> Block:
    """Return the point at which the prompt is cached up to there."""
    point = {"type": "default"}
    if mark.get("ttl") == "1h":
        point["ttl"] = "1h"
    return {"cachePoint": point}


def _written(block: Block) -> Block | None:
    kind = block["type"]
    if kind == "text":
        return {"text": block["text"]}
    if kind == "tool_use":
        use = {"toolUseId": _id(block["id"]), "name": block["name"], "input": block["input"]}
        return {"toolUse": use}
    if kind == "tool_result":
        return {"toolResult": _result(block)}
    if kind == "thinking":
        text = {"text": block["thinking"], "signature": block["signature"]}
        return {"reasoningContent": {"reasoningText": text}}
    if kind == "redacted_thinking":
        return {"reasoningContent": {"redactedContent": block["data"]}}
    if kind == "image":
        return _image(block["source"])
    return _document(block) if kind == "document" else None


def _result(block: Block) -> Block:
    content = block.get("content") or _NOTHING
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    result: Block = {
        "toolUseId": _id(block["tool_use_id"]),
        "content": content_blocks(parts, marks=False) or [{"text": _NOTHING}],
    }
    if block.get("is_error"):
        result["status"] = "error"
    return result


def _id(call_id: str) -> str:
    if len(call_id) <= _LONGEST_ID:
        return call_id
    return hashlib.sha256(call_id.encode()).hexdigest()[:40]


def _image(source: Mapping[str, str]) -> Block | None:
    if source["type"] != "base64":
        return None
    picture = {
        "format": source["media_type"].partition("/")[2],
        "source": {"bytes": source["data"]},
    }
    return {"image": picture}


def _document(block: Block) -> Block | None:
    source = block["source"]
    if source["type"] == "text":
        data = base64.b64encode(source["data"].encode("utf-8", "replace")).decode()
    elif source["type"] == "base64":
        data = source["data"]
    else:
        return None
    title = block.get("title") or "document"
    name = _BAD_IN_NAME.sub("-", title)[:_LONGEST_NAME].strip() or "document"
    document = {
        "format": _FORMATS.get(source["media_type"], "pdf"),
        "name": name,
        "source": {"bytes": data},
    }
    return {"document": document}


def as_message(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a whole answer as a ``message`` of Anthropic's; its usage is read as it is."""
    message = (body.get("output") or {}).get("message") or {}
    return {
        "type": "message",
        "role": "assistant",
        "content": list(_read_blocks(message.get("content") or ())),
        "stop_reason": stop_reason(body.get("stopReason")),
        "usage": body.get("usage"),
        "service_tier": tier_of(body),
    }


def tier_of(body: Mapping[str, Any]) -> str | None:
    """Return the service tier that served a call, ``None`` for the standard one."""
    tier = body.get("serviceTier")
    kind = tier.get("type") if isinstance(tier, Mapping) else None
    return None if kind in (None, "default") else kind


def stop_reason(reason: Any) -> str:
    """Return why the answer ended, in Anthropic's words."""
    if reason in ("content_filtered", "guardrail_intervened"):
        return "refusal"
    return reason if isinstance(reason, str) else ""


def _read_blocks(blocks: Any) -> Iterator[Block]:
    for block in blocks:
        if not isinstance(block, Mapping):
            continue
        if "text" in block:
            yield {"type": "text", "text": block["text"]}
        elif use := block.get("toolUse"):
            yield {
                "type": "tool_use", "id": use.get("toolUseId"), "name": use.get("name"),
                "input": use.get("input"),
            }  # fmt: skip
        elif reasoning := block.get("reasoningContent"):
            yield _read_reasoning(reasoning)


def _read_reasoning(reasoning: Mapping[str, Any]) -> Block:
    if "redactedContent" in reasoning:
        return {"type": "redacted_thinking", "data": reasoning["redactedContent"]}
    text = reasoning.get("reasoningText") or {}
    signature = text.get("signature") or ""
    return {"type": "thinking", "thinking": text.get("text") or "", "signature": signature}
