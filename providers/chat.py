"""What is asked of a model, apart from how any wire spells it.

A client's wire is read into a :class:`Chat`; a provider's client writes it out
on its own. Where both speak the same wire, ``Chat.source`` lets the request go
out as it came in, so that nothing is lost on the way.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Role = Literal["system", "user", "assistant"]

# An image's tokens are not known before the provider counts them: a usual size.
_TOKENS_PER_IMAGE = 1200
_TOKENS_PER_MESSAGE = 4


def estimate_tokens(text: str) -> int:
    """Token count where nobody else counts: characters / 4, rounded up."""
    return (len(text) + 3) // 4


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Image:
    """An image as base64 ``data`` of ``media_type``, or where to fetch it."""

    media_type: str = ""
    data: str = ""
    url: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool that the model wants called. ``arguments`` is JSON text, as the model wrote it.

    ``signature`` is a provider's sealed reasoning, to be handed back unread.
    """

    id: str
    name: str
    arguments: str
    signature: str = ""

    @property
    def input(self) -> dict[str, Any]:
        """The arguments as an object. A model's malformed ones are kept as text within one."""
        try:
            found = json.loads(self.arguments or "{}")
        except (ValueError, RecursionError):
            found = None
        return found if isinstance(found, dict) else {"arguments": self.arguments}


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool gave back for the call ``call_id``."""

    call_id: str
    content: tuple[Text | Image, ...]
    is_error: bool = False

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.content if isinstance(part, Text))


@dataclass(frozen=True, slots=True)
class Native:
    """A part that only providers speaking the request's own wire can read."""

    kind: str


Part = Text | Image | ToolCall | ToolResult | Native


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. Results of tools are part of a user's turn."""

    role: Role
    parts: tuple[Part, ...]
    name: str = ""

    @property
    def text(self) -> str:
        return "\n".join(part.text for part in self.parts if isinstance(part, Text))


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may call; ``parameters`` is a JSON schema."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    strict: bool = False


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """``auto``, ``none``, ``required`` (any tool) or ``named`` (the tool ``name``)."""

    mode: Literal["auto", "none", "required", "named"] = "auto"
    name: str = ""


@dataclass(frozen=True, slots=True)
class JsonOutput:
    """The completion shall be JSON; of ``schema`` where there is one."""

    schema: Mapping[str, Any] | None = None
    name: str = "answer"
    description: str = ""
    strict: bool = True


@dataclass(frozen=True, slots=True)
class OriginalRequest:
    """The request as it came: its wire, its body, and the wire's own headers."""

    wire: str
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Chat:
    """One request for a completion. ``None`` means: as the provider has it by default.

    ``max_tokens`` bounds the completion in tokens. ``native`` names the fields
    that only the source's own wire knows. ``allow_empty`` is whether an answer
    without any content is an answer.
    """

    messages: tuple[Message, ...]
    max_tokens: int | None = None
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = ToolChoice()
    parallel_tools: bool = True
    output: JsonOutput | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    n: int = 1
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: Mapping[str, float] | None = None
    logprobs: bool = False
    top_logprobs: int | None = None
    user: str = ""
    native: tuple[str, ...] = ()
    source: OriginalRequest | None = None
    allow_empty: bool = True

    @classmethod
    def of_prompt(cls, prompt: str, max_tokens: int | None = None) -> Chat:
        """One user's turn that wants a text for an answer."""
        return cls((Message("user", (Text(prompt),)),), max_tokens, allow_empty=False)

    @property
    def system(self) -> str:
        """The system prompts, one a paragraph."""
        return "\n\n".join(m.text for m in self.messages if m.role == "system")

    @property
    def turns(self) -> tuple[Message, ...]:
        """The conversation without its system prompts."""
        return tuple(m for m in self.messages if m.role != "system")

    @property
    def last_words(self) -> str:
        """The text of the last user's turn that has any."""
        turns = (m.text for m in reversed(self.messages) if m.role == "user")
        return next(filter(None, turns), "")

    def parts(self) -> Iterator[Part]:
        for message in self.messages:
            yield from message.parts

    def estimated_tokens(self) -> int:
        """Input tokens, estimated: text at four characters a token, images at a usual size."""
        tokens = sum(
            estimate_tokens(str(tool.parameters) + tool.description) for tool in self.tools
        )
        if len(self.messages) > 1:
            tokens += _TOKENS_PER_MESSAGE * len(self.messages)
        return tokens + sum(map(_part_tokens, self.parts()))


def _part_tokens(part: Part) -> int:
    if isinstance(part, Text):
        return estimate_tokens(part.text)
    if isinstance(part, ToolCall):
        return estimate_tokens(part.name + part.arguments)
    if isinstance(part, ToolResult):
        return sum(map(_part_tokens, part.content))
    return _TOKENS_PER_IMAGE
