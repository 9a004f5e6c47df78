"""An operator's options are checked before they are saved."""

from __future__ import annotations

from typing import Any

import pytest

from optimizer.domain.levers import LEVERS
from optimizer.gateway.levers.option_check import lever_options_check


@pytest.mark.parametrize(
    ("lever", "options", "words"),
    [
        ("effort", {"max_level": "low"}, "max_level: there is no such option; turns, level"),
        ("effort", {"level": "tiny"}, "level: must be one of"),
        ("flex", {"least_seconds": 0}, "least_seconds: must be between"),
        ("batch", {"gather_secondz": 5}, "gather_secondz: there is no such option; min_deadline"),
        ("batch", {"poll_seconds": -1}, "poll_seconds: must be a number"),
        ("batch", {"poll_seconds": float("inf")}, "poll_seconds: must be a number"),
        ("cascade", {"x": 1}, "x: there is no such option; schema"),
        ("compression", {"min_tokens": 10}, "min_tokens: must be a whole number, 100 to 1000000"),
        ("compression", {"min_tokens": True}, "min_tokens: must be a whole number"),
        ("response_cache", {"ttl": 1}, "ttl: this lever has no options"),
    ],
)
def test_what_a_lever_cannot_use_is_refused(
    lever: str, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        lever_options_check(lever, options)


@pytest.mark.parametrize(
    ("lever", "options"),
    [
        *((name, {}) for name in LEVERS),
        ("effort", {"level": "medium", "named": True}),
        ("batch", {"gather_seconds": 5, "calls_at_once": 2}),
        ("cascade", {"judge": "claude/claude-haiku-5-5", "agreement": 0.8, "loss": 0.01}),
        ("compression", {"min_tokens": 2000}),
    ],
)
def test_what_the_docs_name_is_accepted(lever: str, options: dict[str, Any]) -> None:
    lever_options_check(lever, options)
