"""What is known of conversations in providers' prompt caches is a tenant's own."""

from __future__ import annotations

from dataclasses import replace

from optimizer.gateway.prompt_cache import PromptCaches
from providers.chat import Chat, Message, Reasoning, Text
from providers.completion import Completion, Usage

TURN = "Read all of this again, slowly and with care. " * 200


def chat(*texts: str) -> Chat:
    roles = ("user", "assistant")
    return Chat(
        tuple(Message(roles[n % 2], (Text(text),)) for n, text in enumerate(texts))  # type: ignore[arg-type]
    )


def test_a_conversation_of_another_tenant_is_unknown() -> None:
    caches = PromptCaches()
    usage = Usage(input_tokens=2048, output_tokens=1, cache_write_tokens=2048)
    answer = Completion("openai", "gpt-6-luna", (), usage)
    caches.remember(chat(TURN), "openai", answer, "team:red")
    longer = chat(TURN, "Yes", "And now?")
    known = caches.find(longer, "team:red")
    assert known is not None
    assert (known.provider, known.model) == ("openai", "gpt-6-luna")
    assert caches.find(longer, "team:blue") is None
    assert caches.find(longer) is None


def test_the_effort_is_the_one_that_the_model_was_asked_for() -> None:
    caches = PromptCaches()
    usage = Usage(input_tokens=2048, output_tokens=1, cache_write_tokens=2048)
    answer = Completion("openai", "gpt-6-luna", (), usage)
    asked = replace(chat(TURN), reasoning=Reasoning("high"))
    caches.remember(asked, "openai", answer, effort="low")
    known = caches.find(chat(TURN, "Yes", "And now?"))
    assert known is not None
    assert known.effort == "low"
