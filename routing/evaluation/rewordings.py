"""Ways to write the same prompt in other words, to measure whether routing notices only the core.

Each rewording keeps what is asked and changes what stands around it. Rewordings that are marked
``unseen`` use words that :mod:`routing.wording` does not know: they show what happens with
wording that nobody prepared for.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

_OPTION = re.compile(r"^([A-J])\. ", re.MULTILINE)
_ANSWER = re.compile(r"\nAnswer:\s*\Z")


@dataclass(frozen=True, slots=True)
class Rewording:
    """A way to reword a prompt; ``rewrite`` returns ``None`` for a prompt that it cannot reword."""

    name: str
    rewrite: Callable[[str], str | None]
    unseen: bool = False


def _around(before: str, after: str = "") -> Callable[[str], str]:
    return lambda prompt: f"{before}{prompt}{after}"


def _options(mark: Callable[[int], str]) -> Callable[[str], str | None]:
    """Return a rewording that writes the label of the option number 0, 1, … with ``mark``."""

    def rewrite(prompt: str) -> str | None:
        if len(_OPTION.findall(prompt)) < 3:
            return None
        return _OPTION.sub(lambda match: mark(ord(match[1]) - 65), prompt)

    return rewrite


def _in_one_line(prompt: str) -> str | None:
    marks = [*_OPTION.finditer(prompt)]
    if len(marks) < 3:
        return None
    stem, options = prompt[: marks[0].start()], prompt[marks[0].start() :]
    ending = _ANSWER.search(options)
    options = options[: ending.start()] if ending else options
    lines = [f"({line[0]}) {line[3:]}" for line in options.strip().split("\n") if line]
    return f"{stem.rstrip()} {' '.join(lines)}"


def _spaced(prompt: str) -> str:
    """Return the prompt with two spaces after each sentence, blank lines, and space around it."""
    return f"\n\n  {prompt.replace('. ', '.  ').replace(chr(10), chr(10) * 2)}  \n"


REWORDINGS: tuple[Rewording, ...] = (
    Rewording("greeting", _around("Hi there! ")),
    Rewording("greeting and thanks", _around("Hello,\n\n", "\n\nThank you in advance!")),
    Rewording("politeness", _around("Could you please help me with this question? ")),
    Rewording("Question: … Answer:", _around("Question: ", "\nAnswer:")),
    Rewording("instruction before", _around("Please answer the following question.\n\n")),
    Rewording("think step by step", _around("", "\n\nLet's think step by step.")),
    Rewording("form of the answer", _around("", "\n\nPlease put your final answer in \\boxed{}.")),
    Rewording("quoted", _around("“", "”")),
    Rewording("tags", _around("<question>\n", "\n</question>")),
    Rewording("white space", _spaced),
    Rewording("options (a)", _options(lambda place: f"({chr(97 + place)}) ")),
    Rewording("options A)", _options(lambda place: f"{chr(65 + place)}) ")),
    Rewording("options in one line", _in_one_line),
    Rewording("casual", _around("hey, quick one for you - ", " cheers!"), unseen=True),
    Rewording(
        "a story around",
        _around("My colleague could not tell me, so here goes. ", "\n\nWhat do you say?"),
        unseen=True,
    ),
    Rewording(
        "a ticket", _around("Ticket 4711, opened this morning\n\n", "\n\nSent from my phone"),
        unseen=True,
    ),
    Rewording(
        "a role",
        _around("Act as a seasoned specialist with decades of practice.\n", "\nStay factual."),
        unseen=True,
    ),
)  # fmt: skip
