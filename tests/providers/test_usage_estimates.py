"""What a provider does not report is estimated, and marked as such."""

from __future__ import annotations

from typing import Any

import pytest

from providers.chat import TOKENS_PER_MESSAGE, Chat, Text
from providers.completion import Choice, Usage
from providers.usage import read_embedded_usage, read_usage
from providers.usage_estimates import complete_embedded_usage, complete_usage
from tests.providers.usage_reports import ANSWER, CHAT


@pytest.mark.parametrize("count", [None, -1, "many", True, [], {}, 3_000_000_000, float("nan"), 0])
def test_an_input_that_is_not_reported_is_estimated_and_marked(count: Any) -> None:
    usage = complete_usage(
        read_usage({"usage": {"prompt_tokens": count, "completion_tokens": 20}}), CHAT, ANSWER
    )
    assert usage == Usage(100 + TOKENS_PER_MESSAGE, 20, estimated=True)


@pytest.mark.parametrize("count", [None, -1, "many", True, [], {}, 3_000_000_000, float("nan"), 0])
def test_an_output_that_is_not_reported_is_estimated_and_marked(count: Any) -> None:
    usage = complete_usage(
        read_usage({"usage": {"prompt_tokens": 90, "completion_tokens": count}}), CHAT, ANSWER
    )
    assert usage == Usage(90, 50, estimated=True)


def test_an_answer_without_content_may_have_no_output() -> None:
    reported = read_usage({"usage": {"prompt_tokens": 90, "completion_tokens": 0}})
    assert complete_usage(reported, CHAT, (Choice((), "stop"),)) == Usage(90, 0)


@pytest.mark.parametrize(
    ("characters", "estimate"), [(400, 100), (480, 100), (4000, 1000)],
    ids=["as allowed", "as allowed, counted badly", "far beyond"],
)  # fmt: skip
def test_a_limit_that_the_provider_does_not_keep_bounds_no_estimate(
    characters: int, estimate: int
) -> None:
    chat = Chat.of_prompt("p" * 400, max_tokens=100)
    answer = (Choice((Text("a" * characters),), "other"),)
    assert complete_usage(None, chat, answer).output_tokens == estimate


def test_embeddings_without_usage_count_token_ids_and_estimate_texts() -> None:
    ids = complete_embedded_usage(None, {"input": list(range(1000))})
    assert ids == Usage(1000, 0, estimated=True)
    assert complete_embedded_usage(None, {"input": [[1, 2, 3], [4]]}).input_tokens == 4
    assert complete_embedded_usage(None, {"input": ["a" * 40, "b" * 40]}).input_tokens == 20


@pytest.mark.parametrize(
    "body",
    [
        {"usage": {"prompt_tokens": 8, "total_tokens": 8}},
        {"usage": {"prompt_tokens": 8}},
        {"usage": {"prompt_tokens": 0, "total_tokens": 8}},
        {"usage": {"prompt_tokens": 8, "completion_tokens": None, "total_tokens": 8}},
        # https://docs.voyageai.com/reference/embeddings-api
        {"usage": {"total_tokens": 8}},
        # https://docs.cohere.com/reference/embed
        {"meta": {"billed_units": {"input_tokens": 8}}},
    ],
)
def test_embeddings_report_no_output(body: dict[str, Any]) -> None:
    assert complete_embedded_usage(read_embedded_usage(body), {"input": "x"}) == Usage(8, 0)
