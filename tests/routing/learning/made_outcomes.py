"""Outcomes made up so that what is to be learned from them is known."""

from __future__ import annotations

import random

from routing.outcomes import Outcome, RecordedPrompt

_HARD = ("integral", "proof", "theorem", "matrix")
_EASY = ("colour", "river", "season", "animal")


def made_outcomes(count: int = 240, seed: int = 0, benchmark: str = "made") -> list[RecordedPrompt]:
    """Half easy questions, which both models answer, half hard ones, which the strong one does."""
    draw = random.Random(seed)
    prompts = []
    for number in range(count):
        hard = number % 2 == 0
        word = draw.choice(_HARD if hard else _EASY)
        length = draw.randint(30, 60) if hard else draw.randint(3, 9)
        words = " ".join(draw.choice(("about", "of", "some", "given")) for _ in range(length))
        prompts.append(
            RecordedPrompt(
                id=f"{benchmark}/{word}/{number}",
                benchmark=benchmark,
                prompt=f"Tell me {words} the {word} number {number}.",
                outcomes={
                    "weak": _outcome(draw, 0.15 if hard else 0.9),
                    "strong": _outcome(draw, 0.85 if hard else 0.9),
                },
            )
        )
    return prompts


def _outcome(draw: random.Random, likely: float) -> Outcome:
    return Outcome(float(draw.random() < likely), 20, 50)
