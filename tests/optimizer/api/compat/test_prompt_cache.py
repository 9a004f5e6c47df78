"""A conversation through the gateway: it goes on with the model that has it in its prompt cache."""

from __future__ import annotations

from typing import Any

import openai

from analytics.models import RequestRecord, RoutingMetric
from optimizer.gateway.prompt_cache import PromptCaches
from providers.chat import Chat, Message, Text
from providers.completion import Choice, Completion, Usage
from routing.models import CachedConversation
from tests.fakes.server import FakeProvider, Reply
from tests.fakes.wires import anthropic_message

LONG = "A long story. " * 1000
HARD = (
    "Design and implement a distributed rate limiter, analyze its complexity, compare at least "
    "three algorithms, prove its correctness and explain every tradeoff step by step in detail."
)


def chat(*turns: str) -> Chat:
    roles = ("user", "assistant")
    return Chat(tuple(Message(roles[i % 2], (Text(t),)) for i, t in enumerate(turns)))


def answer(provider: str, model: str, usage: Usage) -> Completion:
    return Completion(provider, model, (Choice((Text("Yes."),), "stop"),), usage)


def test_the_longest_known_beginning_tells_who_holds_it() -> None:
    known = PromptCaches()
    known.remember(chat(LONG), "anthropic", answer("claude", "old", Usage(3600, 5, 0, 3500)))
    assert known.find(chat(LONG, "Hm.", "Go on.")) == CachedConversation("claude", "old", 3500)
    later = chat(LONG, "Hm.", "Go on.")
    known.remember(later, "openai", answer("openai", "new", Usage(3700, 5)))
    assert known.find(chat(LONG, "Hm.", "Go on.", "Well.", "And?")) == CachedConversation(
        "openai", "new", 3700
    )
    assert known.find(chat(LONG, "Another answer.", "Go on.")) == CachedConversation(
        "claude", "old", 3500
    )
    assert known.find(chat("Else. " * 2000, "Hm.", "Go on.")) is None
    assert known.find(chat(LONG)) is None


def test_what_no_provider_keeps_is_not_remembered() -> None:
    known = PromptCaches()
    # Anthropic keeps only what it is asked to keep, and nobody keeps little.
    known.remember(chat(LONG), "anthropic", answer("claude", "m", Usage(3600, 5)))
    known.remember(chat("Short."), "openai", answer("openai", "m", Usage(3, 5)))
    assert known.find(chat(LONG, "Hm.", "Go on.")) is None


async def test_a_conversation_goes_on_where_it_is_held(
    openai_sdk: openai.AsyncOpenAI, fakes: dict[str, FakeProvider]
) -> None:
    usage = {
        "input_tokens": 30, "cache_read_input_tokens": 0, "output_tokens": 9,
        "cache_creation_input_tokens": 200_000,
    }  # fmt: skip
    for fake in ("gemini", "openrouter"):
        fakes[fake].always(Reply({}, 403))
    fakes["claude"].always(Reply(anthropic_message("m", usage=usage)))
    story = "A long story. " * 60_000
    messages: list[Any] = [{"role": "user", "content": f"{story} {HARD}"}]
    ask = {"model": "auto:complexity", "max_tokens": 100}
    first = await openai_sdk.chat.completions.create(messages=messages, **ask)
    for fake in ("gemini", "openrouter"):
        fakes[fake].always(None)
    messages += [
        {"role": "assistant", "content": first.choices[0].message.content},
        {"role": "user", "content": "Thank you. By the way, what is the capital of France then?"},
    ]
    raw = await openai_sdk.chat.completions.with_raw_response.create(messages=messages, **ask)
    assert raw.headers["x-optimizer-model"] == first.model
    fresh = await openai_sdk.chat.completions.with_raw_response.create(
        messages=[{"role": "user", "content": f"{story}?"}, *messages[1:]], **ask
    )
    assert fresh.headers["x-optimizer-model"] != first.model
    stayed = await RoutingMetric.objects.aget(pk=raw.headers["x-request-id"])
    assert stayed.metadata["stayed"] is True
    assert "so a switch would not be cheaper" in stayed.reasoning
    assert await RequestRecord.objects.acount() == 3
