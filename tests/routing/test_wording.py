"""Routing reads what is asked, and not the wording around it."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.analysis import analyze_prompt
from routing.evaluation.rewordings import REWORDINGS
from routing.prompt_text import PromptText
from routing.wording import core_of, evened

QUESTION = "Which of these is a noble gas?"
OPTIONS = f"{QUESTION}\nA. Oxygen\nB. Argon\nC. Iron"


@pytest.mark.parametrize(
    "prompt",
    [
        f"Hi there! {QUESTION}",
        f"Hello,\n\n{QUESTION}\n\nThank you in advance!",
        f"Could you please help me with this question? {QUESTION}",
        f"Question: {QUESTION}\nAnswer:",
        f"Please answer the following multiple-choice question.\n\nQ: {QUESTION}",
        f"{QUESTION}\n\nLet's think step by step.",
        f"{QUESTION} Please put your final answer in \\boxed{{}}.",
        f"{QUESTION}\nAnswer with the letter of the correct option only.",
        f'"{QUESTION}"',
        f"> {QUESTION}",
        f"<question>\n{QUESTION}\n</question>",
        f"You are a helpful assistant. {QUESTION} Thanks!",
        f"\n\n  {QUESTION}  \n",
    ],
)
def test_wording_around_a_question_is_not_read(prompt: str) -> None:
    assert core_of(prompt) == QUESTION


@pytest.mark.parametrize(
    "options",
    [
        "(a) Oxygen\n(b) Argon\n(c) Iron",
        "A) Oxygen\nB) Argon\nC) Iron",
        "A: Oxygen\n\nB: Argon\n\nC: Iron",
        "1. Oxygen\n2. Argon\n3. Iron",
        "- A. Oxygen\n- B. Argon\n- C. Iron",
        "Options:\n[A] Oxygen\n[B] Argon\n[C] Iron",
        "(A) Oxygen (B) Argon (C) Iron",
    ],
)
def test_options_read_alike_however_they_are_written(options: str) -> None:
    assert evened(f"{QUESTION}\n{options}") == OPTIONS


@pytest.mark.parametrize(
    "prompt",
    [
        "Write a letter. Say thanks.",
        "Explain step by step how a proof by induction works",
        "Say hello to my sister in French",
        "Write a poem that ends with please",
        "Translate 'good morning' and 'thank you' into Welsh",
        "<div>\n<p>Why is this not centred?</p>\n</div>",
        'Who said "I came" and who said "I saw"',
        "Translate to French: Thank you very much.",
        "Explain the phrase: think step by step",
        ">= 3 or > 3: which of them is true for 3?",
        ">>> print('x' * 3)",
        "Thanks!",
        "Hi",
    ],
)
def test_what_is_asked_is_kept(prompt: str) -> None:
    assert core_of(prompt) == prompt


def test_a_list_of_steps_is_no_list_of_options() -> None:
    steps = "Do this:\n1. Read the file\n2. Sort it\n3. Print it"
    assert evened(steps) == steps


@given(st.text(max_size=300))
def test_a_core_is_part_of_the_prompt_and_has_no_core_of_its_own_but_itself(prompt: str) -> None:
    core = core_of(prompt)
    assert bool(core) == bool(prompt.strip())
    assert len(core) <= len(prompt)
    assert PromptText.read(prompt).tokens >= 1


def test_tokens_count_the_wording_and_the_score_does_not() -> None:
    bare = analyze_prompt(QUESTION)
    around = analyze_prompt(f"Hello,\n\n{QUESTION}\n\nThank you in advance!")
    assert around.token_count > bare.token_count
    assert (around.complexity, around.pattern) == (bare.complexity, bare.pattern)


@pytest.mark.parametrize("rewording", [r for r in REWORDINGS if not r.unseen], ids=lambda r: r.name)
def test_a_known_rewording_changes_no_score(rewording: object) -> None:
    reworded = rewording.rewrite(OPTIONS)  # type: ignore[attr-defined]
    assert reworded is not None
    assert analyze_prompt(reworded).complexity == analyze_prompt(OPTIONS).complexity


def test_a_long_prompt_is_read_as_quickly_as_its_ends() -> None:
    text = PromptText.read("Hello! " + "Compare these reports. " * 50_000 + "Thank you!")
    assert len(text.sample) < 2_100
    assert text.sample.startswith("Compare")
    assert text.length + text.around == len("Hello! ") + 23 * 50_000 + len("Thank you!")


@pytest.mark.parametrize(
    "prompt",
    [
        "a" + "\n" * 395 + "b",
        "a" + " " * 3_000 + "b",
        "hi" + " \t" * 200 + "x",
        "a." + "\n " * 1_000 + "?",
        "(" * 400,
        "A. " * 600,
        "1. x\n" * 500,
        "> " * 500,
        "'" * 999,
        "<task>" * 300,
        "thanks " * 300,
    ],
    ids=lambda prompt: repr(prompt[:6]),
)
def test_no_prompt_takes_long_to_read(prompt: str) -> None:
    began = time.process_time()
    PromptText.read(prompt)
    assert time.process_time() - began < 0.05
