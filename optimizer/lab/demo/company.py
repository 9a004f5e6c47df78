"""The made-up company of the demo: its applications, who uses them, and what they ask."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

_FILE = Path(__file__).with_name("prompts.toml")
_BLANK = re.compile(r"\{\{(\w+)\}\}")
_TOKENS_A_SENTENCE = 17

ENGINEERS = (
    "ana.ribeiro", "jonas.weber", "mei.tanaka", "oskar.dahl", "lea.marchand", "sam.adeyemi",
    "ivo.petrov", "greta.lind", "paul.mensah", "rosa.vidal", "tim.boyle", "aiko.sato",
)  # fmt: skip
ANALYSTS = ("ines.costa", "tomas.novak", "ruth.amsel", "joel.stein", "petra.juhl")
WRITERS = ("noor.haddad", "finn.larsen", "chloe.martin", "ida.moreau")
CARE = ("maria.lopez", "david.okoye", "hanna.virtanen", "luca.bianchi", "sofia.rossi")
FINANCE = ("erik.strand", "yuki.mori", "carla.mendes", "olaf.brandt")
EVERYBODY = (*ENGINEERS, *ANALYSTS, *WRITERS, *CARE, *FINANCE)
VISITORS = tuple(f"visitor-{number:03}" for number in range(1, 61))
INBOXES = tuple(f"inbox-{number:02}" for number in range(1, 13))


@dataclass(frozen=True, slots=True)
class CompanyTeam:
    """A team of the company and the applications whose keys belong to it."""

    name: str
    apps: tuple[str, ...]


TEAMS = (
    CompanyTeam("Customer care", ("help-bot", "ticket-sorter")),
    CompanyTeam("Engineering", ("code-review", "agents", "docs-search")),
    CompanyTeam("Data", ("analysis-desk", "contract-reader")),
    CompanyTeam("Marketing", ("copy-desk", "study-room")),
)


@dataclass(frozen=True, slots=True)
class App:
    """An application.

    ``share`` is its part of all requests, ``named`` the models that some of its requests name,
    each with the share of requests that do. ``hours`` are the hours (UTC) in which it is used,
    and ``week`` is how much less it is used at weekends, 0-1. ``output`` and ``context`` are
    (least, most) tokens.
    """

    name: str
    share: float
    users: tuple[str, ...]
    endpoint: str
    prompts: tuple[str, ...]
    output: tuple[int, int]
    context: tuple[int, int]
    repeats: float = 0.0
    named: Mapping[str, float] | None = None
    hours: tuple[int, int] = (6, 19)
    week: float = 0.25
    streamed: bool = False


# What each application is used for, beside what prompts.toml says of it.
_USE: dict[str, dict[str, Any]] = {
    "help-bot": {"share": 0.26, "users": VISITORS, "endpoint": "chat/completions",
                 "hours": (5, 23), "week": 0.9, "streamed": True},
    "docs-search": {"share": 0.15, "users": EVERYBODY, "endpoint": "responses"},
    "ticket-sorter": {"share": 0.18, "users": INBOXES, "endpoint": "complete",
                      "hours": (0, 24), "week": 0.7},
    "code-review": {"share": 0.09, "users": ENGINEERS, "endpoint": "messages",
                    "named": {"claude-sonnet-5-5": 0.18}},
    "analysis-desk": {"share": 0.05, "users": ANALYSTS, "endpoint": "chat/completions",
                      "named": {"claude-opus-5-5": 0.1}},
    "copy-desk": {"share": 0.06, "users": WRITERS, "endpoint": "chat/completions",
                  "named": {"gpt-6.1-sol": 0.2}, "streamed": True},
    "contract-reader": {"share": 0.02, "users": FINANCE, "endpoint": "generateContent"},
    "study-room": {"share": 0.05, "users": EVERYBODY, "endpoint": "complete", "streamed": True},
    "agents": {"share": 0.14, "users": ENGINEERS, "endpoint": "messages"},
}  # fmt: skip


class Company:
    """What the company asks, read from the file that ships with the demo."""

    def __init__(self) -> None:
        text = tomllib.loads(_FILE.read_text(encoding="utf-8"))
        self._values: Mapping[str, Sequence[str]] = text["values"]
        self._sentences: Sequence[str] = text["documents"]["sentences"]
        agents = {"name": "agents", **text["agents"]}
        self.follow_ups: tuple[str, ...] = tuple(agents.pop("follow_ups"))
        self.tools: tuple[str, ...] = tuple(agents.pop("tools"))
        self.apps = {
            entry["name"]: App(
                **{name: _fixed(value) for name, value in entry.items()}, **_USE[entry["name"]]
            )
            for entry in (*text["apps"], agents)
        }

    def filled(self, text: str, random: Random) -> str:
        """Return ``text`` with a value in each of its blanks."""
        return _BLANK.sub(lambda blank: random.choice(self._values[blank[1]]), text)

    def document(self, tokens: int, random: Random) -> str:
        """Return a text of about ``tokens`` tokens, such as an application sends along."""
        count = max(1, tokens // _TOKENS_A_SENTENCE)
        return " ".join(self.filled(random.choice(self._sentences), random) for _ in range(count))


def _fixed(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
