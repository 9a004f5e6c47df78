"""Everyday requests, which belong to no benchmark: they teach where a predictor's ground ends.

Without them, a benchmark of which every prompt begins with "Write a function" would claim whatever
begins with "Write a". They have no outcomes; nothing is learned from them but that they are not
of the kinds that were trained on. All are made here from parts.
"""

from __future__ import annotations

from functools import cache
from itertools import product

_PARTS = (
    (
        ("Write a {} about {}.", "Compose a short {} on {}.", "Give me ideas for a {} about {}."),
        ("poem", "song", "short story", "blog post", "speech", "newsletter", "toast"),
        ("the sea at night", "my grandmother's garden", "moving to a new city", "patience"),
    ),
    (
        ("Write {} to {}.", "Help me draft {} to {}.", "Make {} to {} sound friendlier."),
        ("an email", "a letter", "a message", "a cover letter"),
        ("my landlord", "a customer who is angry", "a new colleague", "the school"),
    ),
    (
        (
            "Explain {} to {}.",
            "How would you describe {} to {}?",
            "What does {1} need to know about {0}?",
        ),
        ("inflation", "how a vaccine works", "blockchain", "the offside rule", "climate change"),
        ("a child", "a beginner", "my parents"),
    ),
    (
        ("What are good ways to {} {}?", "Give me tips to {} {}.", "How do I {} {}?"),
        ("save money", "sleep better", "learn Spanish", "stay fit", "make friends"),
        ("as a student", "while travelling", "after fifty", "on a busy week"),
    ),
    (
        ("Suggest {} for {}.", "Can you recommend {} for {}?", "List {} for {}."),
        ("a name", "three recipes", "a birthday present", "a weekend trip", "board games"),
        ("a small bakery", "two people", "a family with a baby", "an old friend"),
    ),
    (
        ("Summarize {} for {}.", "Translate {} into plain words for {}.", "Rewrite {} for {}."),
        ("this article", "the minutes of our meeting", "the terms of this contract"),
        ("my team", "a press release", "people who have no time"),
    ),
    (
        ("What do you think about {}{}?", "Tell me something about {}{}.", "Why is {} popular{}?"),
        ("tea", "jazz", "remote work", "Lisbon", "chess", "electric cars"),
        ("", " these days", " in your opinion"),
    ),
)


@cache
def everyday_prompts() -> tuple[str, ...]:
    """Return the prompts, always the same."""
    return tuple(
        forms[place % len(forms)].format(*filling)
        for forms, *parts in _PARTS
        for place, filling in enumerate(product(*parts))
    )
