"""Complexity and pattern of a prompt."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.complexity import score_complexity, tier_of
from routing.patterns import PATTERNS, QueryPatternAnalyzer
from routing.prompt_text import Lexicon, Lexicons, PromptText
from tests.routing.catalogue import EASY, HARD

ANALYZER = QueryPatternAnalyzer()


@given(st.text(max_size=5000))
def test_the_score_is_deterministic_and_never_leaves_0_to_1(prompt: str) -> None:
    first, second = score_complexity(prompt), score_complexity(prompt)
    assert first == second
    assert 0 <= first.score <= 1
    assert first.tier == tier_of(first.score)
    assert first.token_count >= 1
    assert all(part >= 0 for part in first.parts.values())
    assert min(1.0, sum(first.parts.values())) == pytest.approx(first.score, abs=1e-3)


@given(st.text(max_size=2000))
def test_every_prompt_has_one_known_pattern(prompt: str) -> None:
    assert ANALYZER.analyze(prompt) == ANALYZER.analyze(prompt)
    assert ANALYZER.analyze(prompt) in PATTERNS


@pytest.mark.parametrize(
    ("score", "tier"),
    [
        (0.0, "simple"),
        (0.2999, "simple"),
        (0.3, "moderate"),
        (0.6999, "moderate"),
        (0.7, "complex"),
        (1.0, "complex"),
    ],
)
def test_tiers_begin_at_their_bounds(score: float, tier: str) -> None:
    assert tier_of(score) == tier


@pytest.mark.parametrize(
    ("prompt", "tier"),
    [
        (EASY, "simple"),
        ("hi", "simple"),
        ("  \n ", "simple"),
        ("¿Cuál es la capital de Francia?", "simple"),
        ("法国的首都是哪里?", "simple"),
        ("Implement quicksort in Rust and explain its running time.", "moderate"),
        ("Compare PostgreSQL and MySQL for analytics and explain which to choose.", "moderate"),
        (HARD, "complex"),
    ],
)
def test_prompts_fall_in_the_tier_people_expect(prompt: str, tier: str) -> None:
    assert score_complexity(prompt).tier == tier


def test_word_boundaries_count() -> None:
    classic = score_complexity("A classic functional codec, algorithmically proven.")
    assert classic.parts["code"] == 0
    assert score_complexity("A class and a function.").parts["code"] > 0


def test_more_work_asked_for_never_lowers_the_score() -> None:
    prompts = [
        EASY,
        f"{EASY} Explain why.",
        f"{EASY} Explain why. Analyze and compare it in depth.",
    ]
    scores = [score_complexity(p).score for p in prompts]
    assert scores == sorted(scores)


@pytest.mark.parametrize(
    "prompt", ["a" * 1_000_000, "{" * 1_000_000, "1 " * 500_000, "证" * 300_000, " " * 1_000_000]
)
def test_megabytes_are_read_by_sample_and_counted_whole(prompt: str) -> None:
    scored = score_complexity(prompt)
    assert 0 <= scored.score <= 1
    assert scored.token_count >= len(prompt) / 4


@pytest.mark.parametrize(
    ("prompt", "pattern"),
    [
        ("Refactor this Python function to use asyncio.", "code"),
        ("```js\nlet x = 1;\n```", "code"),
        ("Compare the pros and cons of solar and wind power.", "analysis"),
        ("Write a haiku about autumn rain.", "creative"),
        ("Explain how vaccines work.", "explanation"),
        (EASY, "factual"),
        ("If a train travels 60 km in 45 minutes, how far does it go in 2 hours?", "reasoning"),
        ("Good morning!", "general"),
        ("解释一下光合作用", "explanation"),
    ],
)
def test_patterns_are_recognised(prompt: str, pattern: str) -> None:
    assert ANALYZER.analyze(prompt) == pattern


def test_a_lexicon_counts_whole_words_and_each_phrase_once() -> None:
    lexicons = Lexicons(
        {
            "work": Lexicon.of("class code", phrases=("step by step",)),
            "school": Lexicon.of("class"),
            "nothing": Lexicon.of("absent"),
        }
    )
    text = PromptText.read("Class, classic CODE; step by step, step by step.")
    assert lexicons.count(text) == {"work": 3, "school": 1, "nothing": 0}
