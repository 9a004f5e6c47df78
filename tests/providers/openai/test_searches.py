"""Searches that a chat completion shows, or that a provider's usage counts, and their fees."""

from __future__ import annotations

import copy
from decimal import Decimal
from typing import Any

import pytest

from providers.assembly import CompletionBuilder
from providers.catalogue import load_catalogue
from providers.chat import Chat
from providers.completion import CompletionRequest, Usage
from providers.openai.answer import read_completion
from providers.openai.stream import OpenAIStream
from providers.pricing import PriceBook
from providers.usage import read_usage

REQUEST = CompletionRequest("m", Chat.of_prompt("What is new?"))
TOKENS = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
# https://platform.kimi.ai/docs/guide/use-web-search
SEARCH_RESULT = '{"search_result": {"search_id": "x"}, "usage": {"total_tokens": 13046}}'
KIMI = {
    "id": "t",
    "type": "builtin_function",
    "function": {"name": "$web_search", "arguments": SEARCH_RESULT},
}
# https://console.groq.com/docs/compound
GROQ = [{"index": 0, "type": "search", "arguments": "{}"}, {"index": 1, "type": "python"},
        {"index": 2, "type": "browser_search"}]  # fmt: skip
# https://docs.z.ai/guides/tools/web-search
ZAI = [{"title": "News", "link": "https://a.example", "content": "…"}]


def whole(message: dict[str, Any], **more: Any) -> Usage:
    finish = "tool_calls" if "tool_calls" in message else "stop"
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    body = {"id": "x", "choices": [choice], "usage": TOKENS, **copy.deepcopy(more)}
    return read_completion("p", REQUEST, body).usage


def streamed(delta: dict[str, Any], **more: Any) -> Usage:
    reader, builder = OpenAIStream("p", REQUEST), CompletionBuilder("p", REQUEST)
    first = {"index": 0, "delta": {"content": "So", **copy.deepcopy(delta)}}
    last = {"index": 0, "delta": {}, "finish_reason": "stop"}
    for chunk in (
        {"id": "x", "choices": [first], **more},
        {"id": "x", "choices": [last]},
        {"id": "x", "choices": [], "usage": TOKENS},
        None,
    ):
        for event in reader.feed("", chunk):
            builder.add(event)
    return builder.completion().usage


@pytest.mark.parametrize(
    ("message", "more", "searches"),
    [
        ({"content": None, "tool_calls": [KIMI, {**KIMI, "id": "u"}]}, {}, 2),
        ({"content": "So", "executed_tools": GROQ}, {}, 2),
        ({"content": "So"}, {"web_search": ZAI}, 1),
        ({"content": "So"}, {"web_search": []}, 0),
        ({"content": "So"}, {}, 0),
    ],
)
def test_searches_that_an_answer_shows_are_counted(
    message: dict[str, Any], more: dict[str, Any], searches: int
) -> None:
    assert whole(message, **more).web_searches == searches
    delta = dict(message)
    if calls := delta.get("tool_calls"):
        delta["tool_calls"] = [{**call, "index": index} for index, call in enumerate(calls)]
    assert streamed(delta, **more).web_searches == searches


def test_a_tool_that_a_stream_shows_again_ran_once() -> None:
    # By their numbers: first with the arguments, then with the output.
    shown = {"content": "So", "executed_tools": GROQ}
    reader, builder = OpenAIStream("p", REQUEST), CompletionBuilder("p", REQUEST)
    choices = [{"index": 0, "delta": shown}, {"index": 0, "delta": shown, "finish_reason": "stop"}]
    for choice in copy.deepcopy(choices):
        for event in reader.feed("", {"choices": [choice], "usage": TOKENS}):
            builder.add(event)
    assert builder.completion().usage.web_searches == 2


@pytest.mark.parametrize(
    "report",
    [
        # https://www.alibabacloud.com/help/en/model-studio/web-search
        {"plugins": {"search": {"count": 2, "strategy": "agent"}}},
        {"x_tools": {"web_search": {"count": 2}}},
    ],
)
def test_qwen_counts_its_searches_in_the_usage(report: dict[str, Any]) -> None:
    usage = read_usage({"usage": {**TOKENS, **report}})
    assert usage is not None
    assert usage.web_searches == 2


@pytest.mark.parametrize("odd", [None, 5, "x", [], {"search": 5}, {"search": {"count": "many"}}])
def test_odd_reports_of_searches_are_none(odd: Any) -> None:
    usage = read_usage({"usage": {**TOKENS, "plugins": odd, "x_tools": odd}})
    assert usage is not None
    assert usage.web_searches == 0


def test_the_fee_is_that_of_the_provider_or_not_known() -> None:
    book = PriceBook(load_catalogue())
    plain, searched = Usage(1000, 100), Usage(1000, 100, web_searches=2)
    tokens, all_of_it = (book.cost("moonshot", "kimi-k2.6", used) for used in (plain, searched))
    assert tokens is not None
    assert all_of_it is not None
    # USD 0.005 a call: https://platform.kimi.ai/docs/pricing/tools
    assert all_of_it - tokens == Decimal("0.01")
    for provider, model in (("qwen", "qwen3.8-flash"), ("zai", "glm-5.3")):
        priced, without_fee = (
            book.price(provider, model, plain),
            book.price(provider, model, searched),
        )
        assert (priced.basis, without_fee.basis) == ("table", "estimated")
        assert without_fee.cost == priced.cost
