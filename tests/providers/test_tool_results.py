"""Each call has one result, directly after the turn that makes it, whatever a client sends."""

from __future__ import annotations

import pytest

from providers.chat import Message, Part, Text, ToolCall, ToolResult
from providers.tool_results import NO_RESULT, with_results

ASKED = Message("user", (Text("Q"),))
CALLS = Message("assistant", (ToolCall("a", "f", "{}"), ToolCall("b", "f", "{}")))
GO_ON = Message("user", (Text("Go on."),))
NOTE = Message("system", (Text("Note."),))


def result(call_id: str, text: str = "1") -> ToolResult:
    return ToolResult(call_id, (Text(text),))


def words(part: Part) -> str:
    text = getattr(part, "text", "")
    return f"{part.call_id}={text}" if isinstance(part, ToolResult) else text


A, B = Message("user", (result("a"),)), Message("user", (result("b"),))
MISSING = f"b={NO_RESULT}"


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ((A, GO_ON), [("user", ["a=1", MISSING]), ("user", ["Go on."])]),
        ((GO_ON,), [("user", [f"a={NO_RESULT}", MISSING]), ("user", ["Go on."])]),
        ((), [("user", [f"a={NO_RESULT}", MISSING])]),
        ((A, GO_ON, B), [("user", ["a=1", "b=1"]), ("user", ["Go on."])]),
        ((A, Message("user", (result("a", "2"),)), B), [("user", ["a=1", "b=1"]), ("user", ["2"])]),
        (
            (A, B, Message("user", (result("z", "lost"),))),
            [("user", ["a=1", "b=1"]), ("user", ["lost"])],
        ),
        ((NOTE, A, B), [("user", ["a=1", "b=1"]), ("system", ["Note."])]),
        (
            (Message("user", (Text("So."), result("a"), result("b"))),),
            [("user", ["a=1", "b=1"]), ("user", ["So."])],
        ),
        (
            (A, CALLS, A, B),
            [
                ("user", ["a=1", MISSING]), ("assistant", ["", ""]), ("user", ["a=1"]),
                ("user", ["b=1"]),
            ],
        ),
    ],
)  # fmt: skip
def test_results_come_to_their_places(
    messages: tuple[Message, ...], expected: list[tuple[str, list[str]]]
) -> None:
    turns = with_results([ASKED, CALLS, *messages])[2:]
    assert [(turn.role, [*map(words, turn.parts)]) for turn in turns] == expected


@pytest.mark.parametrize(
    "messages",
    [
        (B, A, GO_ON),
        (Message("user", (result("a"), result("b"), Text("Go on."))),),
        (A, B, NOTE, GO_ON),
    ],
)
def test_what_is_right_stays(messages: tuple[Message, ...]) -> None:
    whole = [ASKED, CALLS, *messages]
    assert list(with_results(whole)) == whole
    plain = [ASKED, GO_ON]
    assert with_results(plain) is plain
