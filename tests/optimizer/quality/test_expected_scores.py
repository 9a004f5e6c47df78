"""What is expected of a model before its rating is what routing expected of it."""

from __future__ import annotations

import pytest

from optimizer.quality.evidence import Expectations
from optimizer.quality.model_places import place_of
from providers.ability_files import load_abilities
from providers.catalogue import load_catalogue
from providers.known_models import KnownModels
from routing.analysis import analyze_prompt
from routing.learning.artifact import SHIPPED, load_artifact
from routing.learning.posterior import expit
from routing.learning.predictor import logit_at

PROMPT = "Prove that every finite group of order p^2 is abelian, step by step."
MODEL = "claude-opus-5-5"
CATALOGUE = load_catalogue()
PREDICTOR = load_artifact(SHIPPED).predictor


def test_the_score_expected_of_an_answer_is_that_of_the_models_place() -> None:
    abilities = load_abilities()
    expectations = Expectations(KnownModels(CATALOGUE), PREDICTOR, abilities)
    analysis = analyze_prompt(PROMPT)
    assert analysis.text is not None
    anchors = PREDICTOR.expectation(analysis.text, analysis.pattern).everyday
    spec = CATALOGUE.find("claude", MODEL)
    assert spec is not None

    expected = expectations.expected(PROMPT, "complex", "claude", MODEL)

    assert expected == pytest.approx(expit(logit_at(anchors, place_of(spec, abilities).at)))


def test_without_published_abilities_the_tier_tells() -> None:
    plain = Expectations(KnownModels(CATALOGUE), PREDICTOR)
    placed = Expectations(KnownModels(CATALOGUE), PREDICTOR, load_abilities())

    scores = [e.expected(PROMPT, "complex", "claude", MODEL) for e in (plain, placed)]

    assert scores[0] < scores[1]
    assert plain.expected(PROMPT, "complex", "none", "nobody") == placed.expected(
        PROMPT, "complex", "none", "nobody"
    )
