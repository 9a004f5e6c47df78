"""Usage of streams: reports that come in parts, early, twice or never."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from providers.assembly import CompletionBuilder
from providers.completion import CompletionRequest, Usage
from providers.events import Finished, TextDelta, UsageReported
from providers.usage import UsageOfStream
from providers.usage_estimates import complete_usage
from tests.providers.usage_reports import ANSWER, CHAT, OPENAI, streamed


@pytest.mark.parametrize(
    "reports",
    [
        # envoyproxy/ai-gateway#1631, sgl-project/sglang#20830: zeros close a right report.
        ({"input_tokens": 100, "output_tokens": 1}, {"input_tokens": 0, "output_tokens": 20}),
        ({"input_tokens": 0, "output_tokens": 0}, {"input_tokens": 100, "output_tokens": 20}),
        ({"input_tokens": 100, "output_tokens": 1}, {"output_tokens": 20}),
        ({"input_tokens": 100, "output_tokens": 20}, {"input_tokens": 0, "output_tokens": 0}),
        ({"input_tokens": 100, "output_tokens": 20}, {"input_tokens": "0", "output_tokens": "-1"}),
        ({"input_tokens": 100, "output_tokens": 20}, {"input_tokens": None, "output_tokens": []}),
        ({"input_tokens": 100, "output_tokens": 20}, None),
        ({"prompt_tokens": 100, "completion_tokens": 3}, OPENAI),
        ({"prompt_tokens": 100}, {"completion_tokens": 20}),
    ],
)
def test_reports_of_a_stream_add_up_to_the_right_one(reports: Any) -> None:
    assert streamed(*reports) == Usage(100, 20)


def test_a_later_zero_keeps_cached_tokens_and_the_charge() -> None:
    first = {
        **OPENAI,
        "prompt_tokens_details": {"cached_tokens": 60},
        "cost": 0.5,
    }
    last = {"prompt_tokens": 100, "prompt_tokens_details": {"cached_tokens": 0}, "cost": 0}
    assert streamed(first, last) == Usage(100, 20, 60, reported_cost=Decimal("0.5"))


def events(*items: Any) -> Usage:
    builder = CompletionBuilder("p", CompletionRequest("m", CHAT))
    for item in items:
        builder.add(item)
    return builder.completion().usage


def test_an_input_that_was_cached_as_a_whole_is_counted_once() -> None:
    # A server that knows only at the end what was cached; a zero that replaces nothing is #1631.
    first, cached = {"input_tokens": 100, "output_tokens": 1}, {"cache_read_input_tokens": 100}
    usage = streamed(first, {"input_tokens": 0, **cached, "output_tokens": 20})
    assert usage == Usage(100, 20, 100)
    assert streamed(
        first, {"input_tokens": 40, "cache_read_input_tokens": 60, "output_tokens": 20}
    ) == Usage(100, 20, 60)


def test_a_report_before_the_content_does_not_count_it() -> None:
    early, text = UsageReported(Usage(90, 1)), TextDelta("a" * 200)
    assert events(early, text, Finished("stop")) == Usage(90, 50, estimated=True)
    assert events(text, UsageReported(Usage(90, 48)), Finished("stop")) == Usage(90, 48)


def test_a_stream_that_was_cut_keeps_the_larger_of_report_and_estimate() -> None:
    text = TextDelta("a" * 200)
    assert events(text, UsageReported(Usage(90, 400))) == Usage(90, 400, estimated=True)
    assert events(UsageReported(Usage(90, 2)), text) == Usage(90, 50, estimated=True)


def test_the_output_in_an_opening_report_is_no_count() -> None:
    stream = UsageOfStream()
    start = {"message": {"usage": {"input_tokens": 90, "output_tokens": 1}}}
    usage = stream.add(start, ended=False)
    assert complete_usage(usage, CHAT, ANSWER) == Usage(90, 50, estimated=True)
    assert stream.add({"usage": {"output_tokens": 48}}) == Usage(90, 48)
