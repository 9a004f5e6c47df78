"""The simulated month of agents' sessions keeps what it promises, in small."""

from __future__ import annotations

import pytest

from benchmarks.routing.agent_sessions import CLASSES, Study, study_month


@pytest.fixture(scope="module")
def studies() -> dict[str, Study]:
    return study_month(400, 7, ("claude", "openai", "gemini", "openrouter"))


@pytest.fixture(scope="module")
def alone() -> dict[str, Study]:
    return study_month(400, 7, ("claude",))


def test_auto_costs_much_less_at_nearly_the_quality(studies: dict[str, Study]) -> None:
    strong, auto = studies["strong"].run, studies["auto"].run
    assert auto.total <= 0.7 * strong.total
    assert auto.mean_quality >= strong.mean_quality - 0.02


def test_no_class_of_session_costs_more_than_with_the_strong_model(
    studies: dict[str, Study], alone: dict[str, Study]
) -> None:
    for policies in (studies, alone):
        strong, auto = policies["strong"].run, policies["auto"].run
        for kind in CLASSES:
            assert auto.cost[kind.name] <= strong.cost[kind.name]


def test_routing_call_by_call_without_the_cache_loses(
    studies: dict[str, Study], alone: dict[str, Study]
) -> None:
    auto, text = studies["auto"].run, studies["text"].run
    assert text.total > 1.2 * auto.total
    assert text.mean_quality < auto.mean_quality - 0.02
    assert auto.total <= studies["words"].run.total
    assert alone["text"].run.total > 0.97 * alone["strong"].run.total
