"""Reasoning in a request that goes out on Anthropic's own wire."""

from __future__ import annotations

import pytest

from providers.anthropic.relayed import restored_messages
from providers.chat import SEAL_MARK, Chat


@pytest.mark.parametrize(("signature", "stays"), [("acoQ/8=", True), (f"{SEAL_MARK}x", False)])
def test_only_a_seal_of_this_service_is_no_signature(signature: str, *, stays: bool) -> None:
    thinking = {"type": "thinking", "thinking": "Hm.", "signature": signature}
    answer = {"type": "text", "text": "Yes."}
    messages = [{"role": "assistant", "content": [thinking, answer]}]
    restored = restored_messages(Chat(()), messages, "claude", "m")
    assert restored[0]["content"] == ([thinking, answer] if stays else [answer])
