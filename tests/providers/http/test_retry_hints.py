"""How long providers ask to wait, where they say so in other places than ``Retry-After``."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from providers.http.error_answer import read_error

NOW = 1_800_000_000.0
SOON = "1800000030000"
"""Half a minute after ``NOW``, in milliseconds."""


@pytest.fixture(autouse=True)
def _clock_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("providers.http.retry_hints.time", SimpleNamespace(time=lambda: NOW))


def wait(body: Any = None, status: int = 429, **headers: str) -> float | None:
    named = httpx.Headers({name.replace("_", "-"): value for name, value in headers.items()})
    return read_error("p", (), status, named, json.dumps(body).encode()).retry_after


def said(message: str) -> dict[str, Any]:
    return {"error": {"message": message, "code": "rate_limit_exceeded"}}


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("Rate limit reached for m: Limit 6000. Please try again in 7.66s. Visit", 7.66),
        ("Rate limit reached for m. Please try again in 820ms. Visit", 0.82),
        ("Please try again in 1m12.5s.", 72.5),
        ("Slow down; retry in 6h0m0s", 21_600),
        ("Please try again in a while.", None),
        ("Please try again in 1.2.3s.", None),
    ],
)
def test_a_wait_in_the_words_of_the_error(message: str, seconds: float | None) -> None:
    assert wait(said(message)) == (None if seconds is None else pytest.approx(seconds))
    assert wait(said(message), 500) is None
    assert wait(said(message), retry_after="3") == 3


def test_words_that_ask_for_years_are_no_wait() -> None:
    assert wait(said("Please try again in 99999999999999h.")) is None


def test_the_end_of_a_window_in_the_headers() -> None:
    assert wait(x_ratelimit_reset=SOON) == 30
    assert wait(x_ratelimit_reset=SOON[:-3]) == 30
    assert wait(ratelimit_reset="17") == 17
    assert wait(ratelimit_reset="soon") is None
    assert wait(x_ratelimit_reset="99999999999999") is None


def test_a_wait_in_the_fields_of_the_error() -> None:
    about = {"headers": {"X-RateLimit-Reset": SOON, "X-RateLimit-Remaining": "0"}}
    assert wait({"error": {"message": "Rate limited", "code": 429, "metadata": about}}) == 30
    assert wait({"error": {"message": "x", "retry_after": 12}}) == 12
    assert wait({"error": {"message": "x", "metadata": {"retry_after_seconds": 9.5}}}) == 9.5
    assert wait({"error": {"message": "x", "retry_after": -1}}) is None


def test_when_a_limit_is_whole_again_is_no_wait() -> None:
    # A request may be made as soon as the bucket holds one.
    assert wait(x_ratelimit_remaining_requests="0", x_ratelimit_reset_requests="6m0s") is None
    assert wait({"error": "slow down"}) is None
