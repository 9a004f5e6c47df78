"""Rounds that a client does not see: the model asks for an original, and the gateway answers.

The client gets the answers of all rounds as one, without the calls of the gateway's own tool.
When it sends that answer back, the calls and their results are put in again where they were, so
that the model reads what it read before, and a provider finds it in its cache.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from optimizer.gateway.levers.compression.texts.forms import TOOL
from providers.chat import Chat, Message, Part, Text, Thinking, Tool, ToolCall, ToolResult
from providers.completion import AnswerPart, Completion, Opaque

DESCRIPTION = (
    "Returns the exact original of a text that was shortened. Use it when you need what was left "
    "out; the id stands in the first line of the shortened text."
)
PARAMETERS = {
    "type": "object",
    "properties": {"id": {"type": "string"}},
    "required": ["id"],
    "additionalProperties": False,
}
TURN = "turn "
"""How the name of an answer begins, by which its hidden rounds are stored."""
RESTORE = Tool(TOOL, DESCRIPTION, PARAMETERS)


class Cut(NamedTuple):
    """A place in an answer: how much of it comes before, as the client sees it.

    Characters of text, blocks of reasoning, and calls of the client's tools.
    """

    text: int = 0
    thoughts: int = 0
    calls: int = 0


NOTHING_SEEN = Cut()


class HiddenCall(NamedTuple):
    """A call of the gateway's own tool, as the model wrote it."""

    id: str
    arguments: str
    signature: str = ""

    @property
    def wanted(self) -> str:
        """Return the id of the original that it asks for."""
        value = ToolCall(self.id, TOOL, self.arguments).input.get("id")
        return value.strip() if isinstance(value, str) else ""


class HiddenRound(NamedTuple):
    """The hidden calls at one place of an answer.

    ``joined`` if the model called the client's tools as well: then their results come together.
    """

    cut: Cut
    calls: tuple[HiddenCall, ...]
    joined: bool = False


Result = Callable[[HiddenCall], str]
"""Returns the text that the gateway answers a hidden call with."""
Rounds = Callable[[str], Sequence[HiddenRound]]
"""Returns the hidden rounds of the answer with a name (:func:`answer_name`)."""


def hidden_calls(completion: Completion) -> tuple[HiddenCall, ...]:
    """Return the calls of the gateway's own tool in an answer."""
    calls = completion.choices[0].tool_calls
    return tuple(HiddenCall(c.id, c.arguments, c.signature) for c in calls if c.name == TOOL)


def is_hidden(part: AnswerPart) -> bool:
    """Return whether a part of an answer is a call of the gateway's own tool."""
    return isinstance(part, ToolCall) and part.name == TOOL


def answer_name(call_ids: Sequence[str], text: str) -> str:
    """Return the name of an answer, which the client's repetition of it has too.

    It is made of the id of its first call, or of its text where it has none.
    """
    shown = f"call {call_ids[0]}" if call_ids else f"text {text.strip()}"
    digest = hashlib.blake2b(shown.encode("utf-8", "surrogatepass"), digest_size=12)
    return f"{TURN}{digest.hexdigest()}"


def unnamed_call(name: str, arguments: Any) -> str:
    """Return what stands for the id of a call that has none."""
    return f"{name} {json.dumps(arguments, sort_keys=True)}"


def seen(parts: Sequence[AnswerPart], since: Cut = NOTHING_SEEN) -> Cut:
    """Return how much the client sees of ``parts``, added to ``since``."""
    text, thoughts, calls = since
    for part in parts:
        if isinstance(part, (Text, Opaque)):
            text += len(part.text)
        elif isinstance(part, Thinking):
            thoughts += 1
        elif not is_hidden(part):
            calls += 1
    return Cut(text, thoughts, calls)


def as_stored(rounds: Sequence[HiddenRound]) -> str:
    """Return the rounds as they are stored."""
    return json.dumps([[*r.cut, [list(call) for call in r.calls], r.joined] for r in rounds])


def of_stored(text: str) -> tuple[HiddenRound, ...]:
    """Return the rounds that :func:`as_stored` wrote."""
    return tuple(
        HiddenRound(Cut(*cut), tuple(HiddenCall(*call) for call in calls), joined)
        for *cut, calls, joined in json.loads(text)
    )


def calls_of(calls: Sequence[HiddenCall]) -> tuple[ToolCall, ...]:
    """Return hidden calls as parts of the model's turn."""
    return tuple(ToolCall(c.id, TOOL, c.arguments, c.signature) for c in calls)


def results_of(calls: Sequence[HiddenCall], result: Result) -> tuple[ToolResult, ...]:
    """Return the results of hidden calls."""
    return tuple(ToolResult(c.id, (Text(result(c)),)) for c in calls)


def continued_chat(
    chat: Chat, completion: Completion, calls: Sequence[HiddenCall], result: Result
) -> tuple[Message, ...]:
    """Return the messages of the next round: with the model's answer and the originals."""
    parts: list[Part] = []
    for part in completion.choices[0].parts:
        if isinstance(part, Thinking):
            parts.append(
                Thinking(
                    part.text, part.signature, part.redacted, part.details,
                    completion.provider, completion.model,
                )
            )  # fmt: skip
        elif isinstance(part, Opaque):
            parts += [Text(part.text)] if part.text else []
        else:
            parts.append(part)
    turn, results = Message("assistant", tuple(parts)), Message("user", results_of(calls, result))
    return (*chat.messages, turn, results)


def with_rounds(messages: Sequence[Message], rounds: Rounds, result: Result) -> list[Message]:
    """Return ``messages`` with the hidden rounds where they were."""
    sent: list[Message] = []
    waiting: tuple[ToolResult, ...] = ()
    for message in messages:
        if message.role == "assistant":
            calls = [part for part in message.parts if isinstance(part, ToolCall)]
            text = _joined(message.parts)
            hidden = rounds(answer_name([call.id for call in calls], text))
            if calls and not hidden:
                unnamed = unnamed_call(calls[0].name, calls[0].input)
                hidden = rounds(answer_name([unnamed], text))
            turns, waiting = _split(message, hidden, result)
            sent += turns
            continue
        if waiting and message.role == "user":
            message = Message("user", (*waiting, *message.parts), message.name)
            waiting = ()
        sent.append(message)
    return sent


def _joined(parts: Sequence[Part]) -> str:
    return "".join(part.text for part in parts if isinstance(part, Text))


def _split(
    message: Message, rounds: Sequence[HiddenRound], result: Result
) -> tuple[list[Message], tuple[ToolResult, ...]]:
    """Return the turns that a message of the model was, and the results that the next one has."""
    rest, turns, at = list(message.parts), [], Cut()
    for hidden in rounds:
        calls = calls_of(hidden.calls)
        if hidden.joined:
            turns.append(Message("assistant", (*rest, *calls)))
            return turns, results_of(hidden.calls, result)
        before, rest = parts_until(rest, Cut(*(a - b for a, b in zip(hidden.cut, at, strict=True))))
        at = hidden.cut
        turns.append(Message("assistant", (*before, *calls)))
        turns.append(Message("user", results_of(hidden.calls, result)))
    return [*turns, Message("assistant", tuple(rest), message.name)] if turns else [message], ()


def parts_until(parts: Sequence[Part], cut: Cut) -> tuple[list[Part], list[Part]]:
    """Return the parts before ``cut`` and those after it; a text may be cut in two.

    Clients may leave reasoning out: then there is less of it than the cut says.
    """
    text, thoughts, calls = cut
    before: list[Part] = []
    for number, part in enumerate(parts):
        if text <= 0 and calls <= 0 and (thoughts <= 0 or not isinstance(part, Thinking)):
            return before, list(parts[number:])
        if isinstance(part, Text):
            if len(part.text) > text:
                pieces = [Text(part.text[:text])] if text else []
                return [*before, *pieces], [
                    Text(part.text[text:], part.cache),
                    *parts[number + 1 :],
                ]
            text -= len(part.text)
        elif isinstance(part, Thinking):
            thoughts -= 1
        elif isinstance(part, ToolCall):
            calls -= 1
        before.append(part)
    return before, []
