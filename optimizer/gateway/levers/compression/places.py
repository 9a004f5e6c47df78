"""Where the texts stand that may be shortened: results of tools, and blocks that people paste.

Each wire has its own way to write them (:mod:`optimizer.gateway.levers.compression.wires`). All
give each text to a :class:`Change` in the order of the conversation, with what it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from providers.chat import Chat, Message, Part, Text, ToolCall, ToolResult

_LONGEST_LABEL = 160
_FENCED = re.compile(r"^(```+|~~~+)[^\n`]*\n(.*?)(?=^\1[ \t]*$)", re.MULTILINE | re.DOTALL)
_LEAST_FENCED = 200
# Tools that return what stands in a file, which the model may have to edit to the letter.
_READS_FILES = re.compile(r"(?i)read|view|open|cat|edit|file|notebook|source|show|patch|diff")
_COMMAND_READS = re.compile(
    r"(?<![|\w])(?<!\| )(?:cat|sed|head|tail|less|more|nl|bat|awk|xxd|type|Get-Content"
    r"|git (?:-\S+ )*(?:show|diff|blame|log -p)|diff)\s"
)


@dataclass(frozen=True, slots=True)
class TextPlace:
    """One text. ``new`` if no answer follows it yet, so that no provider has it in a cache.

    ``exact`` if the model may need every letter of it; ``label`` names the call of a result.
    """

    text: str
    new: bool
    exact: bool
    label: str = ""


Change = Callable[[TextPlace], str]
"""Returns what is sent for a text: the text itself if nothing changes."""


def is_exact(name: str, arguments: str) -> bool:
    """Return whether a call reads what the model may have to know to the letter: a file."""
    return bool(_READS_FILES.search(name) or _COMMAND_READS.search(arguments))


def label_of(name: str, arguments: str) -> str:
    """Return how a call is named for the model."""
    label = f"{name}({arguments})"
    return label if len(label) <= _LONGEST_LABEL else f"{label[:_LONGEST_LABEL]}…)"


def pasted(text: str, new: bool, change: Change) -> str:
    """Return a person's ``text`` in which ``change`` has changed the fenced blocks alone."""
    if len(text) < _LEAST_FENCED or ("```" not in text and "~~~" not in text):
        return text
    pieces: list[str] = []
    at = 0
    for match in _FENCED.finditer(text):
        begin, end = match.span(2)
        block = text[begin:end]
        sent = change(TextPlace(block, new, exact=False))
        if sent is not block:
            pieces += (text[at:begin], sent, "" if sent.endswith("\n") else "\n")
            at = end
    return "".join([*pieces, text[at:]]) if pieces else text


class Calls:
    """The calls of a conversation so far, by their ids."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, str]] = {}

    def add(self, call_id: str, name: str, arguments: str) -> None:
        """Remember a call."""
        self._known[call_id] = (name, arguments)

    def place(self, call_id: str, text: str, new: bool) -> TextPlace:
        """Return the place of a text in the result of a call."""
        name, arguments = self._known.get(call_id, ("", ""))
        label = label_of(name, arguments) if name else ""
        return TextPlace(text, new, is_exact(name, arguments), label)


def changed_chat(chat: Chat, change: Change) -> tuple[Message, ...]:
    """Return the messages of ``chat`` as ``change`` changes them; unchanged ones are the same."""
    messages, calls = chat.messages, Calls()
    last = max((n for n, m in enumerate(messages) if m.role == "assistant"), default=-1)
    sent: list[Message] = []
    for number, message in enumerate(messages):
        if message.role == "assistant":
            for part in message.parts:
                if isinstance(part, ToolCall):
                    calls.add(part.id, part.name, part.arguments)
        if message.role != "user":
            sent.append(message)
            continue
        parts = tuple(_changed(part, number > last, calls, change) for part in message.parts)
        same = all(one is other for one, other in zip(parts, message.parts, strict=True))
        sent.append(message if same else replace(message, parts=parts))
    return tuple(sent)


def _changed(part: Part, new: bool, calls: Calls, change: Change) -> Part:
    if isinstance(part, Text):
        text = pasted(part.text, new, change)
        return part if text is part.text else replace(part, text=text)
    if not isinstance(part, ToolResult):
        return part
    content = []
    for inner in part.content:
        if isinstance(inner, Text):
            text = change(calls.place(part.call_id, inner.text, new))
            inner = inner if text is inner.text else replace(inner, text=text)
        content.append(inner)
    same = all(one is other for one, other in zip(content, part.content, strict=True))
    return part if same else replace(part, content=tuple(content))
