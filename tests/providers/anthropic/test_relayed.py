"""Reasoning and users in a request that goes out on Anthropic's own wire."""

from __future__ import annotations

from typing import Any

import pytest

from optimizer.api.anthropic.request import read_message_query
from providers.anthropic.relayed import restored_messages
from providers.anthropic.request import anthropic_payload
from providers.chat import SEAL_MARK, Chat
from providers.completion import CompletionRequest


@pytest.mark.parametrize(("signature", "stays"), [("acoQ/8=", True), (f"{SEAL_MARK}x", False)])
def test_only_a_seal_of_this_service_is_no_signature(signature: str, *, stays: bool) -> None:
    thinking = {"type": "thinking", "thinking": "Hm.", "signature": signature}
    answer = {"type": "text", "text": "Yes."}
    messages = [{"role": "assistant", "content": [thinking, answer]}]
    restored = restored_messages(Chat(()), messages, "claude", "m")
    assert restored[0]["content"] == ([thinking, answer] if stays else [answer])


@pytest.mark.parametrize(
    ("user", "stays"),
    [
        ("bob@example.com", False),
        ("user_12345678901_account__session_1234-5678", True),
        (None, True),
    ],
)
def test_an_address_is_no_id_of_a_user(user: str | None, *, stays: bool) -> None:
    body: dict[str, Any] = {
        "model": "claude-haiku-4-5",
        "max_tokens": 5,
        "messages": [{"role": "user", "content": "Q"}],
        "metadata": {"user_id": user},
    }
    chat = read_message_query(body, "").chat
    sent = anthropic_payload(CompletionRequest("claude-haiku-4-5", chat))["metadata"]
    assert (sent == body["metadata"]) is stays
    assert stays or sent["user_id"].startswith("user_")
