"""Whether reworded and translated requests get the same decision."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from routing.evaluation import robustness
from routing.evaluation.reference_models import reference_engine
from routing.evaluation.rewordings import REWORDINGS
from routing.evaluation.robustness import (
    STRATEGIES,
    TARGET,
    language_shares,
    overall,
    reworded_shares,
    sampled,
)
from routing.learning.artifact import SHIPPED, load_artifact

ENGINE = reference_engine(load_artifact(SHIPPED).predictor)
PROMPTS = [
    "What is the capital of Mongolia?",
    "A shop sells 12 pens a day for 3 dollars each. How much does it take in 5 days?",
    "Design a cache that survives crashes, prove that it loses nothing, and analyze its cost.",
    "Which gas is noble?\nA. Oxygen\nB. Argon\nC. Hydrogen\nD. Chlorine",
    "Write a function that merges two sorted lists.",
    "Describe the feeling of coming home after a long winter.",
]


def test_known_wordings_keep_their_decision() -> None:
    shares = overall(reworded_shares(ENGINE, PROMPTS), unseen=False)
    assert all(shares[strategy] >= TARGET for strategy in STRATEGIES)


def test_a_rewording_counts_the_prompts_that_it_fits() -> None:
    rows = {row.name: row for row in reworded_shares(ENGINE, PROMPTS)}
    assert rows["greeting"].prompts == len(PROMPTS)
    assert rows["options (a)"].prompts == 1
    assert set(rows) == {rewording.name for rewording in REWORDINGS}


def test_a_rewording_that_fits_no_prompt_is_absent() -> None:
    names = {row.name for row in reworded_shares(ENGINE, PROMPTS[:1])}
    assert "options (a)" not in names


def test_every_request_is_there_in_thirteen_languages() -> None:
    requests = tomllib.loads(
        Path(robustness.__file__).with_name("requests.toml").read_text(encoding="utf-8")
    )
    assert {len(texts) for texts in requests.values()} == {13}
    assert all(len(set(texts.values())) == 13 for texts in requests.values())


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_most_languages_get_the_same_decision(strategy: str) -> None:
    rows = language_shares(ENGINE)
    assert min(row.kept[strategy] for row in rows) >= 0.6
    assert sum(row.kept[strategy] for row in rows) / len(rows) >= 0.9


def test_a_sample_is_the_same_each_time_and_no_larger_than_asked() -> None:
    many = [str(number) for number in range(100)]
    assert sampled(many, 10, 1) == sampled(many, 10, 1)
    assert len(sampled(many, 10, 1)) == 10
    assert sampled(many, 200, 1) == many
