"""The efforts that models take, and requests that ask for less, on every wire.

Sources: https://platform.claude.com/docs/en/build-with-claude/effort,
https://platform.claude.com/docs/en/build-with-claude/thinking-tool-workflows,
https://developers.openai.com/api/docs/guides/deployment-checklist,
https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/guides/gemini-3-5-flash.
"""

from __future__ import annotations

from typing import Any

import pytest

from providers.anthropic.client import AnthropicProvider
from providers.anthropic.request import anthropic_payload
from providers.chat import Chat, Message, OriginalRequest, Reasoning, Text
from providers.completion import CompletionRequest
from providers.effort_levels import is_below
from providers.gemini.client import GeminiProvider
from providers.gemini.relayed import relayed_payload
from providers.http.wire import WireClient
from providers.less_effort import with_less_effort
from providers.openai.client import OpenAIOwnProvider, OpenAIProvider
from providers.openai.openrouter import OpenRouterProvider


def client(kind: type[WireClient]) -> WireClient:
    return kind("p", None, "http://localhost")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "model", "levels", "usual"),
    [
        (OpenAIOwnProvider, "gpt-6.1-sol", "low", "medium"),
        (OpenAIOwnProvider, "gpt-5.1", "low", ""),
        (OpenAIOwnProvider, "gpt-5-mini", "minimal", "medium"),
        (OpenAIOwnProvider, "gpt-4.1", "", ""),
        (OpenAIProvider, "openai/gpt-oss-120b", "low", "medium"),
        (OpenAIProvider, "llama-3.3-70b", "", ""),
        (OpenRouterProvider, "openai/gpt-6.1-sol", "low", "medium"),
        (OpenRouterProvider, "anthropic/claude-haiku-4.5", "low", ""),
        (AnthropicProvider, "claude-opus-5-5", "low", "medium"),
        (AnthropicProvider, "claude-opus-5", "low", "high"),
        (AnthropicProvider, "claude-opus-4-7", "low", ""),
        (AnthropicProvider, "claude-haiku-4-5", "low", ""),
        (AnthropicProvider, "claude-3-5-sonnet", "", ""),
        (GeminiProvider, "gemini-3.1-pro-preview", "low", "high"),
        (GeminiProvider, "gemini-3.5-flash-lite", "minimal", ""),
        (GeminiProvider, "gemini-2.5-flash", "low", "medium"),
        (GeminiProvider, "gemini-2.0-flash", "", ""),
    ],
)
def test_what_models_take_and_do_by_themselves(
    kind: type[WireClient], model: str, levels: str, usual: str
) -> None:
    efforts = client(kind).efforts(model)
    least = [level for level in efforts.levels if level != "none"]
    assert (least[0] if least else "", efforts.usual) == (levels, usual)


def test_a_model_that_lacks_reasoning_takes_none() -> None:
    for kind in (OpenAIOwnProvider, AnthropicProvider, GeminiProvider):
        assert client(kind).efforts("gpt-5", frozenset({"reasoning"})).levels == ()


def chat(wire: str, reasoning: Reasoning | None, /, **body: Any) -> Chat:
    turn = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 30_000}
    if wire == "gemini":
        turn = {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}
    source = OriginalRequest(wire, {**turn, **body})
    message = Message("user", (Text("Hi"),))
    return Chat((message,), 30_000, reasoning=reasoning, source=source, chosen=False)


@pytest.mark.parametrize(
    ("wire", "reasoning", "body", "model", "changed"),
    [
        (
            "openai", Reasoning("high"), {"reasoning_effort": "high"}, "gpt-5",
            {"reasoning_effort": "low"},
        ),
        ("openai", None, {}, "gpt-5", {"reasoning_effort": "low"}),
        (
            "openai", Reasoning(budget=9000), {"reasoning": {"max_tokens": 9000, "exclude": True}},
            "x", {"reasoning": {"exclude": True, "effort": "low"}},
        ),
        (
            "openai-responses", Reasoning("high"),
            {"reasoning": {"effort": "high", "summary": "auto"}}, "gpt-5",
            {"reasoning": {"effort": "low", "summary": "auto"}},
        ),
        (
            "anthropic", Reasoning(budget=16_000),
            {"thinking": {"type": "enabled", "budget_tokens": 16_000}}, "claude-haiku-4-5",
            {"thinking": {"type": "enabled", "budget_tokens": 2048}},
        ),
        (
            "anthropic", Reasoning("high", adaptive=True),
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high", "format": 1}},
            "claude-opus-5",
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low", "format": 1}},
        ),
        (
            "gemini", Reasoning("high"),
            {"generationConfig": {"topP": 1, "thinkingConfig": {"thinkingLevel": "high",
             "includeThoughts": True}}}, "gemini-3.1-pro-preview",
            {"generationConfig": {"topP": 1, "thinkingConfig": {"thinkingLevel": "low",
             "includeThoughts": True}}},
        ),
        (
            "gemini", Reasoning(budget=8000),
            {"generationConfig": {"thinkingConfig": {"thinkingBudget": 8000}}}, "gemini-2.5-pro",
            {"generationConfig": {"thinkingConfig": {"thinkingBudget": 2048}}},
        ),
    ],
)  # fmt: skip
def test_a_relayed_request_asks_for_less_in_its_own_words(
    wire: str, reasoning: Reasoning | None, body: dict[str, Any], model: str,
    changed: dict[str, Any],
) -> None:  # fmt: skip
    asked = chat(wire, reasoning, **body)
    less = with_less_effort(asked, "low", model)
    assert less is not None
    assert less.source is not None
    assert asked.source is not None
    assert less.source.body == {**asked.source.body, **changed}
    assert less.reasoning is not None
    assert less.reasoning.level == "low"
    assert asked.source.body.keys() >= body.keys()  # the client's own request stays as it was


def test_thinking_is_never_switched_off() -> None:
    """The smallest budget stays, and a client that disables thinking is left alone."""
    least = chat(
        "anthropic", Reasoning(budget=1024), thinking={"type": "enabled", "budget_tokens": 1024}
    )
    assert with_less_effort(least, "minimal", "claude-haiku-4-5") is None


def test_a_completion_of_text_has_no_effort_to_lower() -> None:
    assert with_less_effort(chat("openai-completions", None), "low", "x") is None


def test_a_built_request_of_any_wire_asks_for_less() -> None:
    built = Chat((Message("user", (Text("Hi"),)),), 30_000, reasoning=Reasoning("high"))
    less = with_less_effort(built, "low", "claude-opus-5")
    assert less is not None
    body = anthropic_payload(CompletionRequest("claude-opus-5", less))
    assert body["output_config"] == {"effort": "low"}
    assert body["thinking"]["type"] == "adaptive"


def test_a_chosen_model_of_the_same_wire_gets_the_lower_level() -> None:
    body = {"generationConfig": {"thinkingConfig": {"thinkingLevel": "high"}}}
    less = with_less_effort(chat("gemini", Reasoning("high"), **body), "low", "gemini-3.8-flash")
    assert less is not None
    sent = relayed_payload(CompletionRequest("gemini-3.8-flash", less), "gemini")
    assert sent["generationConfig"]["thinkingConfig"] == {"thinkingLevel": "low"}


@pytest.mark.parametrize(
    ("kind", "field"),
    [(OpenAIOwnProvider, "service_tier"), (GeminiProvider, "serviceTier")],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_call_asks_for_its_tier(kind: type[WireClient], field: str, stream: bool) -> None:
    request = CompletionRequest("gpt-5", Chat.of_prompt("Hi", 9), service_tier="flex")
    provider = client(kind)
    assert f'"{field}":"flex"'.encode() in provider._body(request, None, stream=stream)


def test_a_wire_without_tiers_is_asked_for_none() -> None:
    request = CompletionRequest("x", Chat.of_prompt("Hi", 9), service_tier="flex")
    for kind in (OpenAIProvider, AnthropicProvider):
        assert b"flex" not in client(kind)._body(request, None)


def test_efforts_are_ordered_and_unknown_ones_are_not() -> None:
    assert is_below("low", "medium")
    assert not is_below("low", "low")
    assert not is_below("low", "")
    assert not is_below("weird", "max")
