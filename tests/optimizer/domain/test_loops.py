"""An agent that goes round in circles is found from the conversation that it sends."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from optimizer.domain.loops import NO_LOOP, loop_of
from providers.chat import Chat, Message, Text, ToolCall, ToolResult


def user(text: str) -> Message:
    return Message("user", (Text(text),))


def step(command: str, result: str, tool: str = "Bash") -> tuple[Message, Message]:
    return (
        Message("assistant", (Text("I try."), ToolCall("c", tool, command))),
        Message("user", (ToolResult("c", (Text(result),)),)),
    )


def chat(*steps: Sequence[Message]) -> Chat:
    return Chat((user("do it"), *(message for pair in steps for message in pair)))


def test_the_same_call_with_the_same_result_is_a_loop() -> None:
    loop = loop_of(chat(step("ls", "a"), *[step("make", "error")] * 5))
    assert (loop.rounds, loop.tool) == (5, "Bash")


def test_rounds_of_several_steps_count() -> None:
    assert loop_of(chat(*[step("edit", "ok"), step("make", "error")] * 4)).rounds == 4
    three = [step("a", "1"), step("b", "2"), step("c", "3")]
    assert loop_of(chat(*three * 3)).rounds == 3


def test_a_poll_whose_result_changes_is_none() -> None:
    assert loop_of(chat(*(step("status", f"{n} %") for n in range(9)))) == NO_LOOP


def test_words_of_a_person_end_it_and_reminders_do_not() -> None:
    looping = [step("make", "error")] * 3
    again = (user("try again"),)
    assert loop_of(chat(*looping, again, step("make", "error"))) == NO_LOOP
    call, result = step("make", "error")
    reminded = Message(
        "user", (*result.parts, Text("<system-reminder>\nbe brief\n</system-reminder>"))
    )
    assert loop_of(chat(*looping, (call, reminded))).rounds == 4


def test_results_in_messages_of_their_own_belong_to_one_step() -> None:
    calls = Message("assistant", (ToolCall("a", "Read", "1"), ToolCall("b", "Read", "2")))
    one = Message("user", (ToolResult("a", (Text("x"),)),))
    two = Message("user", (ToolResult("b", (Text("y"),)),))
    assert loop_of(chat(*[(calls, one, two)] * 6)).rounds == 6


def test_a_conversation_without_tools_is_none() -> None:
    assert loop_of(Chat((user("hello"),))) == NO_LOOP
    assert loop_of(Chat(())) == NO_LOOP
    answered = Chat((user("hello"), Message("assistant", (Text("hi"),)), user("hello")))
    assert loop_of(answered) == NO_LOOP


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xy")), max_size=12),
    st.integers(2, 12),
)
def test_repeating_the_end_once_more_never_lessens_it(
    steps: list[tuple[str, str]], times: int
) -> None:
    begun = [step(command, result) for command, result in steps]
    ending = [step("make", "error")]
    assert loop_of(chat(*begun, *ending * times)).rounds >= times
    assert (
        loop_of(chat(*begun, *ending * (times + 1))).rounds
        >= loop_of(chat(*begun, *ending * times)).rounds
    )
