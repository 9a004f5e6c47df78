"""A request for a completion, independent of any wire format.

The API reads a client's request into a :class:`Chat`, and a provider's client writes
the chat in the provider's format. If both use the same wire, ``Chat.source`` holds the
original request, which is sent unchanged so that nothing is lost.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from providers.token_estimates import estimate_tokens
from providers.values import frozen

Role = Literal["system", "user", "assistant"]

# Only the provider can count an image's tokens; this is a usual size.
_TOKENS_PER_IMAGE = 1200
TOKENS_PER_MESSAGE = 4
SEAL_MARK = "aco1:"
"""How a text begins that this service has put under a seal; no provider understands it."""
CacheMark = Mapping[str, Any]
"""Where a provider is to cache the prompt up to here, in the form of Anthropic's
``cache_control``: ``{"type": "ephemeral", "ttl": "5m" or "1h"}``."""


@frozen
class Text:
    """A part that is plain text."""

    text: str
    cache: CacheMark | None = None


@frozen
class Image:
    """An image: base64 ``data`` of ``media_type``, a ``url``, or a provider's ``file_id``."""

    media_type: str = ""
    data: str = ""
    url: str = ""
    detail: str = ""
    file_id: str = ""
    cache: CacheMark | None = None


@frozen
class File:
    """A document, audio or video: base64 ``data``, plain ``text``, a ``url``, or a ``file_id``.

    ``media_type`` is its MIME type ("application/pdf", "audio/wav"), empty if unknown.
    ``name`` is the file's name or title. ``as_image`` is whether the client sent it as an image.
    """

    media_type: str = ""
    data: str = ""
    text: str = ""
    url: str = ""
    file_id: str = ""
    name: str = ""
    cache: CacheMark | None = None
    as_image: bool = False


@frozen
class Thinking:
    """Reasoning that the model shows. Only its own provider can read what is sealed.

    ``signature`` proves the text to the provider, ``redacted`` is reasoning that only the
    provider can read, and ``details`` is the reasoning in the form of its wire, where that
    holds more: OpenRouter's ``reasoning_details`` (a list), or OpenAI's reasoning item.
    ``provider`` and ``model`` wrote it; they are empty if that is not known.
    """

    text: str = ""
    signature: str = ""
    redacted: str = ""
    details: Any = None
    provider: str = ""
    model: str = ""


@frozen
class ToolCall:
    """A call of a tool by the model. ``arguments`` is JSON text, as the model wrote it.

    ``signature`` is the encrypted reasoning of the model ``signed_by`` (provider, model); it
    goes back to that model as it is. ``freeform`` marks a call of a tool whose input is plain
    text; its arguments are ``{"input": text}``.
    """

    id: str
    name: str
    arguments: str
    signature: str = ""
    signed_by: tuple[str, str] = ("", "")
    freeform: bool = False
    cache: CacheMark | None = None

    @property
    def input(self) -> dict[str, Any]:
        """The arguments as an object; malformed ones are text under the key "arguments"."""
        try:
            value = json.loads(self.arguments or "{}")
        except (ValueError, RecursionError):
            value = None
        return value if isinstance(value, dict) else {"arguments": self.arguments}


@frozen
class ToolResult:
    """The result of a tool for the call ``call_id``."""

    call_id: str
    content: tuple[Text | Image | File, ...]
    is_error: bool = False
    cache: CacheMark | None = None

    @property
    def text(self) -> str:
        """The text of the result, without its images."""
        return "".join(part.text for part in self.content if isinstance(part, Text))


@frozen
class Native:
    """A part that only providers of the request's own wire can read; ``kind`` names it."""

    kind: str


Part = Text | Image | File | Thinking | ToolCall | ToolResult | Native


@frozen
class Message:
    """One turn of the conversation. Tool results belong to the user's turn."""

    role: Role
    parts: tuple[Part, ...]
    name: str = ""

    @property
    def text(self) -> str:
        """The text parts, one per line."""
        parts = self.parts
        if len(parts) == 1 and type(parts[0]) is Text:
            return parts[0].text
        return "\n".join(part.text for part in self.parts if isinstance(part, Text))

    @classmethod
    def of_plain(cls, value: Any) -> Message | None:
        """Return the turn of an object that has a usual role and one text, and nothing else.

        All wires but Gemini's write such turns alike. ``None`` for any other value.
        """
        if type(value) is not dict or len(value) != 2:
            return None
        role, text = value.get("role"), value.get("content")
        if type(text) is not str or (role != "user" and role != "assistant"):
            return None
        return cls(role, (Text(text),))


@frozen
class Tool:
    """A function that the model may call; ``parameters`` is a JSON schema.

    ``freeform`` marks a tool whose input is plain text. Wires without such tools get a
    function with one parameter, ``input``.
    """

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    strict: bool = False
    freeform: bool = False
    cache: CacheMark | None = None


@frozen
class ToolChoice:
    """How the model uses tools: ``auto``, ``none``, ``required`` (any) or ``named`` (``name``)."""

    mode: Literal["auto", "none", "required", "named"] = "auto"
    name: str = ""


@frozen
class JsonOutput:
    """A request for JSON output, with a JSON ``schema`` or without one."""

    schema: Mapping[str, Any] | None = None
    name: str = "answer"
    description: str = ""
    strict: bool = True


# The effort that a budget amounts to, in tokens.
_LEVELS = ((2048, "low"), (10_000, "medium"), (24_000, "high"), (40_000, "xhigh"))


@frozen
class Reasoning:
    """How much the model is to reason before it answers, in the words of all wires.

    ``effort`` is "none", "minimal", "low", "medium", "high", "xhigh" or "max"; ``budget`` is
    the most tokens to reason with; ``adaptive`` lets the model decide. ``shown`` is "omitted"
    or "summarized" where the client says how much of the reasoning it wants to see.
    """

    effort: str = ""
    budget: int | None = None
    adaptive: bool = False
    shown: str = ""

    @property
    def level(self) -> str:
        """Return the effort, or the one that a budget amounts to; empty if neither is stated."""
        if self.effort or self.budget is None:
            return self.effort
        if not self.budget:
            return "none"
        return next((level for most, level in _LEVELS if self.budget <= most), "max")


@frozen
class OriginalRequest:
    """The request as it came in: its wire, its body, and the headers of that wire."""

    wire: str
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Survey:
    """What is known of the ``messages`` and ``tools`` of a large chat, so it is found only once.

    ``tokens`` are estimated, and ``needs`` is what :mod:`providers.features` finds in the messages.
    """

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...]
    tokens: int
    needs: Mapping[str, str] | None = None


@frozen
class Chat:
    """One request for a completion. ``None`` means the provider's default.

    ``max_tokens`` limits the completion, in tokens. ``native`` names the fields without which
    only the wire of ``source`` can answer; ``extras`` names those that other wires drop.
    ``allow_empty`` allows an answer without content; otherwise such an answer is an error.
    ``chosen`` is true if this service chooses the model: a request that names its model goes
    to it unchanged on its own wire. ``sealed`` is true if the conversation holds reasoning
    under a seal of this service, or without any seal. ``cache_session`` is the key under which
    a provider may cache the conversation for its next turns, empty if it is not worth it or the
    client has set marks of its own; ``cache_hour`` is whether for an hour. ``surveyed`` is set
    for a large chat. ``residency`` names the regions that its data must not leave: only what is
    within all of them may be called.
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
    reasoning: Reasoning | None = None
    verbosity: str = ""
    cache: CacheMark | None = None
    service_tier: str = ""
    native: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    source: OriginalRequest | None = None
    allow_empty: bool = True
    chosen: bool = True
    sealed: bool = False
    cache_session: str = ""
    cache_hour: bool = False
    surveyed: Survey | None = field(default=None, compare=False, repr=False)
    residency: frozenset[str] = frozenset()
    # What providers.features finds in this chat, once it was looked for.
    features: Mapping[str, str] | None = field(default=None, init=False, compare=False, repr=False)

    @classmethod
    def of_prompt(cls, prompt: str, max_tokens: int | None = None) -> Chat:
        """Return a chat of one user's turn, whose answer must have text."""
        return cls((Message("user", (Text(prompt),)),), max_tokens, allow_empty=False)

    @property
    def system(self) -> str:
        """The system prompts, one per paragraph."""
        return "\n\n".join(m.text for m in self.messages if m.role == "system")

    @property
    def turns(self) -> tuple[Message, ...]:
        """The conversation without its system prompts."""
        return tuple(m for m in self.messages if m.role != "system")

    @property
    def last_words(self) -> str:
        """The text of the last user's turn that has text, else an empty string."""
        turns = (m.text for m in reversed(self.messages) if m.role == "user")
        return next(filter(None, turns), "")

    def parts(self) -> Iterator[Part]:
        """Yield the parts of all messages, in order."""
        for message in self.messages:
            yield from message.parts

    @property
    def large(self) -> bool:
        """Whether work on all its messages belongs on a thread, beside the event loop."""
        return self.surveyed is not None

    @property
    def survey(self) -> Survey | None:
        """What is known of a large chat; ``None`` for others, and once its messages changed."""
        survey = self.surveyed
        if survey is None or survey.messages is not self.messages or survey.tools is not self.tools:
            return None
        return survey

    def as_large(self) -> Chat:
        """Return the chat as a large one."""
        survey = Survey(self.messages, self.tools, self.estimated_tokens())
        return replace(self, surveyed=survey)

    def estimated_tokens(self) -> int:
        """Return the estimated input tokens, with a usual size for each image."""
        if self.surveyed is not None and (survey := self.survey) is not None:
            return survey.tokens
        tokens = sum(
            estimate_tokens(str(tool.parameters) + tool.description) for tool in self.tools
        )
        if len(self.messages) > 1:
            tokens += TOKENS_PER_MESSAGE * len(self.messages)
        return tokens + sum(map(_part_tokens, self.parts()))


def _part_tokens(part: Part) -> int:
    if isinstance(part, Text):
        return estimate_tokens(part.text)
    if isinstance(part, ToolCall):
        return estimate_tokens(part.name + part.arguments)
    if isinstance(part, ToolResult):
        return sum(map(_part_tokens, part.content))
    if isinstance(part, Thinking):
        return estimate_tokens(part.text)
    if isinstance(part, File) and not part.url and not part.file_id:
        # base64 is a third longer than the file, and a page of a PDF has few characters.
        return estimate_tokens(part.text) + len(part.data) // 16
    return _TOKENS_PER_IMAGE
