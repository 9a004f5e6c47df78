"""Read the parts of Gemini's answers: text, reasoning, calls, pictures, code and files."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

from providers.chat import Chat, Text, Thinking, ToolCall
from providers.completion import AnswerPart, Opaque
from providers.gemini.tools import tool_names

WIRE = "gemini"


class PartReader:
    """Reads the parts of the answers to one chat.

    A client of Gemini's API gets parts that only this wire has as they are; others get a text
    that stands for them, where there is one.
    """

    def __init__(self, chat: Chat) -> None:
        self._own = chat.source is not None and chat.source.wire == WIRE
        self._names = tool_names(chat)
        self._freeform = {tool.name for tool in chat.tools if tool.freeform}

    def parts(self, candidate: Mapping[str, Any]) -> Iterator[AnswerPart]:
        """Yield the parts of one candidate; those that say nothing are left out."""
        content = candidate.get("content")
        parts = content.get("parts") if isinstance(content, Mapping) else None
        for part in parts if isinstance(parts, list) else ():
            if isinstance(part, Mapping):
                yield from self._part(part)

    def _part(self, part: Mapping[str, Any]) -> Iterator[AnswerPart]:
        signature, text = part.get("thoughtSignature") or "", part.get("text")
        call = part.get("functionCall")
        if isinstance(call, Mapping):
            if call.get("name"):
                yield self._call(call, signature)
        elif part.get("thought"):
            # Parts marked "thought" are the model's reasoning, not its answer.
            if text or signature:
                yield Thinking(text or "", signature)
        elif isinstance(text, str):
            if text:
                yield Text(text)
            if signature:
                # The encrypted reasoning before this text: it goes back to the model.
                yield Thinking("", signature)
        elif rest := {k: v for k, v in part.items() if v and k != "thoughtSignature"}:
            yield from self._special(part, rest)

    def _call(self, call: Mapping[str, Any], signature: str) -> ToolCall:
        name = self._names.inner(str(call["name"]))
        arguments = call.get("args")
        text = arguments if isinstance(arguments, str) else _as_json(arguments or {})
        call_id = call.get("id")
        return ToolCall(
            call_id if isinstance(call_id, str) and call_id else f"call_{secrets.token_hex(8)}",
            name,
            text,
            signature,
            freeform=name in self._freeform,
        )

    def _special(self, part: Mapping[str, Any], rest: Mapping[str, Any]) -> Iterator[AnswerPart]:
        if self._own:
            yield Opaque(WIRE, dict(part))
        elif text := _stand_in(rest):
            yield Text(text)
        else:
            yield Opaque(WIRE, dict(part))


def _stand_in(part: Mapping[str, Any]) -> str:
    """Return Markdown for a part that other APIs do not have; empty if there is none."""
    blob, file = part.get("inlineData"), part.get("fileData")
    code, result = part.get("executableCode"), part.get("codeExecutionResult")
    if isinstance(blob, Mapping) and blob.get("data"):
        kind = str(blob.get("mimeType") or "application/octet-stream")
        return f"{_link(kind)}(data:{kind};base64,{blob['data']})"
    if isinstance(file, Mapping) and file.get("fileUri"):
        return f"{_link(str(file.get('mimeType') or ''))}({file['fileUri']})"
    if isinstance(code, Mapping) and code.get("code"):
        return f"\n```{str(code.get('language') or '').lower()}\n{code['code']}\n```\n"
    if isinstance(result, Mapping) and result.get("output"):
        return f"\n```\n{result['output']}\n```\n"
    return ""


def _link(kind: str) -> str:
    name = kind.partition("/")[0] or "file"
    return "![image]" if name == "image" else f"[{name}]"


def _as_json(arguments: Any) -> str:
    return json.dumps(arguments, ensure_ascii=False)
