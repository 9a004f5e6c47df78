"""Reasoning is handed to clients of another API under a seal, and comes back unchanged."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.domain.reasoning_seals import is_seal, seal, seal_call, unseal, unseal_call
from providers.chat import Thinking, ToolCall

texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=80)


@given(texts, texts, texts)
def test_what_is_sealed_comes_back_with_its_author(text: str, signature: str, data: str) -> None:
    details = [{"type": "reasoning.encrypted", "data": data}]
    sealed = seal(Thinking(text, signature, data, details), "claude", "claude-opus-5-5")
    assert is_seal(sealed)
    assert sealed.isascii()
    assert unseal(sealed) == Thinking(text, signature, data, details, "claude", "claude-opus-5-5")


def test_the_signature_of_a_call_comes_back_with_its_author() -> None:
    sealed = seal_call(ToolCall("call_1", "f", "{}", "c2lnbmVk"), "gemini", "gemini-3.8-flash")
    assert unseal_call(sealed) == ("c2lnbmVk", ("gemini", "gemini-3.8-flash"))


def test_a_signature_without_a_seal_is_of_an_unknown_author() -> None:
    assert unseal_call("c2lnbmVk") == ("c2lnbmVk", ("", ""))


@pytest.mark.parametrize("text", ["", "x", "aco1:", "aco1:e30:bad"])
def test_what_this_service_has_not_sealed_is_not_understood(text: str) -> None:
    assert unseal(text) is None


def test_a_changed_seal_is_not_valid() -> None:
    sealed = seal(Thinking("Paris."), "claude", "claude-opus-5-5")
    middle = len(sealed) // 2
    changed = sealed[:middle] + ("A" if sealed[middle] != "A" else "B") + sealed[middle + 1 :]
    assert unseal(changed) is None
    assert unseal_call(sealed) == ("", ("", ""))


def test_a_seal_of_another_installation_is_not_valid(settings: Any) -> None:
    sealed = seal(Thinking("Paris."), "claude", "claude-opus-5-5")
    settings.SECRET_KEY = "another"
    assert unseal(sealed) is None
