"""What is left of rate limits, in the headers that providers send."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.pools.rate_headers import limits_left

# https://community.openai.com/t/how-to-get-rate-limit-reset-time-for-response-api/1268905
OPENAI = {
    "x-ratelimit-limit-requests": "5000",
    "x-ratelimit-limit-tokens": "160000",
    "x-ratelimit-remaining-requests": "4999",
    "x-ratelimit-remaining-tokens": "159976",
    "x-ratelimit-reset-requests": "12ms",
    "x-ratelimit-reset-tokens": "6m0s",
}
# https://clemenssiebler.com/posts/understanding-azure-openai-x-ratelimit-remaining-tokens-x-ratelimit-remaining-requests-headers
AZURE = {"x-ratelimit-remaining-tokens": "19913", "x-ratelimit-remaining-requests": "19"}
# https://learn.microsoft.com/answers/questions/5625878
AZURE_UNKNOWN = {
    "x-ratelimit-limit-tokens": "-1",
    "x-ratelimit-remaining-tokens": "-1",
    "x-ratelimit-reset-tokens": "0",
}


def anthropic(at: datetime) -> dict[str, str]:
    """Recorded in https://rdrr.io/cran/tidyllm/src/tests/testthat/claude/api.anthropic.com."""
    reset = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "anthropic-ratelimit-input-tokens-limit": "80000",
        "anthropic-ratelimit-input-tokens-remaining": "70000",
        "anthropic-ratelimit-input-tokens-reset": reset,
        "anthropic-ratelimit-requests-limit": "1000",
        "anthropic-ratelimit-requests-remaining": "999",
        "anthropic-ratelimit-requests-reset": reset,
        "anthropic-ratelimit-tokens-limit": "96000",
        "anthropic-ratelimit-tokens-remaining": "96000",
        "anthropic-ratelimit-tokens-reset": reset,
    }


def test_openai_s() -> None:
    said = limits_left(OPENAI)
    assert said is not None
    assert said.requests is not None
    assert said.tokens is not None
    assert (said.requests.left, said.requests.limit, said.requests.seconds) == (4999, 5000, 0.012)
    assert (said.tokens.left, said.tokens.seconds) == (159976, 360)


def test_azure_s_without_a_time_hold_for_a_while() -> None:
    said = limits_left(AZURE)
    assert said is not None
    assert said.requests is not None
    assert said.tokens is not None
    assert (said.requests.left, said.tokens.left) == (19, 19913)
    assert 0 < said.requests.seconds <= 60


def test_azure_s_minus_one_says_nothing() -> None:
    assert limits_left(AZURE_UNKNOWN) is None


def test_anthropic_s_the_least_of_the_tokens_counts() -> None:
    said = limits_left(anthropic(datetime.now(UTC) + timedelta(seconds=30)))
    assert said is not None
    assert said.requests is not None
    assert said.tokens is not None
    assert (said.requests.left, said.tokens.left, said.tokens.limit) == (999, 70000, 80000)
    assert 25 < said.tokens.seconds <= 30


def test_a_reset_in_the_past_has_come() -> None:
    said = limits_left(anthropic(datetime(2025, 8, 21, tzinfo=UTC)))
    assert said is not None
    assert said.requests is not None
    assert said.requests.seconds == 0


@pytest.mark.parametrize(
    ("text", "seconds"), [("1s", 1), ("1h2m3s", 3723), ("1m30.5s", 90.5), ("7", 7), ("900us", 9e-4)]
)
def test_durations(text: str, seconds: float) -> None:
    said = limits_left({**OPENAI, "x-ratelimit-reset-requests": text})
    assert said is not None
    assert said.requests is not None
    assert said.requests.seconds == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    ["nan", "inf", "-inf", "1e400", "-5", "1735689600", "1735689600000", "9" * 30 + "d", "٣"],
)
def test_a_time_that_is_odd_is_as_if_none_was_said(text: str) -> None:
    unsaid = limits_left(AZURE)
    said = limits_left({**AZURE, "x-ratelimit-reset-requests": text})
    assert said == unsaid


def test_a_reset_in_years_is_as_if_none_was_said() -> None:
    said = limits_left(anthropic(datetime(2999, 1, 1, tzinfo=UTC)))
    assert said is not None
    assert said.requests is not None
    assert said.requests.seconds <= 60


@given(st.dictionaries(st.sampled_from([*OPENAI, *anthropic(datetime.now(UTC))]), st.text()))
def test_whatever_they_say_nothing_breaks(headers: dict[str, str]) -> None:
    said = limits_left(headers)
    for left in (said.requests, said.tokens) if said is not None else ():
        assert left is None or (left.left >= 0 and 0 <= left.seconds <= 86_400)
