"""Abilities and difficulties on one scale, from several sources."""

from __future__ import annotations

import random

import numpy as np
import pytest

from routing.learning.posterior import expit
from routing.outcomes import Outcome, RecordedPrompt
from routing.training.abilities import anchor_qualities, fit_abilities, model_key
from routing.training.families import family_of

ABILITY = {"tiny": -1.5, "small": -0.5, "Meta-Large-3_1": 0.8, "huge": 1.6}


def answered(models: tuple[str, ...], benchmark: str, level: float) -> list[RecordedPrompt]:
    draw = random.Random(benchmark)
    prompts = []
    for number in range(300):
        hard = level + draw.gauss(0, 1)
        outcomes = {
            model: Outcome(float(draw.random() < expit(ABILITY[model] - hard)), 1, 1)
            for model in models
        }
        prompts.append(RecordedPrompt(f"{benchmark}/{number}", benchmark, "Why?", outcomes))
    return prompts


def test_one_model_has_one_name_in_all_sources() -> None:
    assert model_key("meta-llama/Meta-Llama-3_1-8B-Instruct") == "llama-3.1-8b-instruct"
    assert model_key("mistralai/Mixtral-8x7B-Instruct-v0.1") == "mixtral-8x7b-instruct-v0.1"
    assert model_key("Llama-3.1-8B-Instruct") == model_key("Meta-Llama-3.1-8B-Instruct")


def test_sources_are_linked_by_the_models_that_they_share() -> None:
    """The best model answers the hard benchmark alone, and fewer questions of it than others."""
    easy = answered(("tiny", "small", "Meta-Large-3_1"), "easy", -1.0)
    hard = answered(("Meta-Large-3_1", "huge"), "hard", 2.0)
    abilities = fit_abilities(easy + hard)
    fitted = [abilities.of(model) for model in ABILITY]
    assert fitted == sorted(fitted)
    # Differences shrink towards 0, because difficulties and deviations are fitted besides.
    assert 1.0 < fitted[2] - fitted[0] < 2.6
    assert 0.1 < fitted[3] - fitted[2] < 1.4


def test_anchors_are_means_over_weaker_and_stronger_models() -> None:
    prompts = answered(tuple(ABILITY), "made", 0.0)
    qualities = anchor_qualities(prompts)
    assert qualities.shape == (300, 2)
    assert ((qualities >= 0) & (qualities <= 1)).all()
    weak, strong = qualities.mean(axis=0)
    small, huge = (
        np.mean([p.outcomes[model].quality for p in prompts]) for model in ("small", "huge")
    )
    assert weak == pytest.approx(small, abs=0.12)
    assert strong == pytest.approx(huge, abs=0.12)


def test_of_two_models_each_is_an_anchor() -> None:
    prompts = answered(("tiny", "huge"), "two", 0.0)
    weak, strong = anchor_qualities(prompts).mean(axis=0)
    assert weak < 0.35 < 0.65 < strong


def test_families_are_benchmarks_that_ask_alike() -> None:
    assert family_of("ulab_gsm8k") == family_of("GSM8K") == family_of("mgsm")
    assert family_of("mmlu_pro") == family_of("mmlu")
    assert family_of("math_l5") == "mathematics"
    assert family_of("of my own") == "of my own"
