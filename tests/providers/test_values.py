"""Copies of values with other fields."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.chat import Chat, Text
from providers.completion import Choice, Completion, RelayedAnswer, Usage
from providers.values import changed

CHAT = Chat.of_prompt("What is the capital of France?", 100)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "chosen": st.booleans(), "cache_session": st.text(), "max_tokens": st.integers(),
            "stop": st.tuples(st.text()), "temperature": st.floats(0, 2),
        },
    )
)  # fmt: skip
def test_a_copy_is_what_the_standard_library_makes(changes) -> None:
    copy = changed(CHAT, **changes)
    assert copy == replace(CHAT, **changes)
    assert Chat.of_prompt("What is the capital of France?", 100) == CHAT


def test_what_was_looked_for_in_a_value_is_not_taken_over() -> None:
    chat = Chat.of_prompt("Hello")
    chat.features = {"tools": "tools"}
    assert changed(chat, chosen=False).features is None


def test_a_field_that_does_not_exist_is_refused() -> None:
    with pytest.raises(TypeError, match="other"):
        changed(CHAT, other=1)


def test_an_answer_that_is_passed_on_keeps_its_other_fields() -> None:
    choices = (Choice((Text("text"),), "stop"),)
    completion = Completion("p", "m", choices, Usage(1, 1), "r", {"service_tier": "t"}, member="m")
    relayed = RelayedAnswer({"id": "r"}, b"{}")
    assert completion.passed_on(relayed) == replace(completion, relayed=relayed)
    # A field that is added must be passed on, too.
    assert all(getattr(completion, one.name) for one in fields(completion) if one.name != "relayed")
