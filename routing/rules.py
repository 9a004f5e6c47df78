"""Rules that operators write: which requests they are for, and what they want of routing.

All that match a request apply, in their order. Of contrary wishes the first one
counts; what any of them forbids is forbidden.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, time
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Literal
from zoneinfo import ZoneInfo

Action = Literal["", "force", "forbid", "prefer"]
ACTIONS: tuple[Action, ...] = ("force", "forbid", "prefer")


@dataclass(frozen=True, slots=True)
class Subject:
    """A request as rules see it. ``tokens`` are its estimated input; ``at`` is aware."""

    prompt: str
    pattern: str
    tier: str
    tokens: int
    at: datetime
    user_id: str = ""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Match:
    """Which requests: all that is given must hold, of several values any.

    ``users`` may hold ``*`` and ``?``; ``texts`` are sought in the prompt, whatever
    their case. ``weekdays`` are 0 (Monday) to 6; ``since`` and ``until`` bound the
    time of day in ``zone``, over midnight if ``since`` is later.
    """

    patterns: frozenset[str] = frozenset()
    tiers: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    users: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    min_tokens: int | None = None
    max_tokens: int | None = None
    weekdays: frozenset[int] = frozenset()
    since: time | None = None
    until: time | None = None
    zone: str = "UTC"

    def holds(self, subject: Subject) -> bool:
        return (
            (not self.patterns or subject.pattern in self.patterns)
            and (not self.tiers or subject.tier in self.tiers)
            and (not self.tags or not self.tags.isdisjoint(subject.tags))
            and (self.min_tokens is None or subject.tokens >= self.min_tokens)
            and (self.max_tokens is None or subject.tokens <= self.max_tokens)
            and (not self.users or any(fnmatchcase(subject.user_id, u) for u in self.users))
            and self._at(subject.at)
            and self._in(subject.prompt)
        )

    def _at(self, at: datetime) -> bool:
        if not self.weekdays and self.since is None and self.until is None:
            return True
        local = at.astimezone(ZoneInfo(self.zone))
        if self.weekdays and local.weekday() not in self.weekdays:
            return False
        since, until, now = self.since or time.min, self.until, local.time()
        if until is None:
            return now >= since
        return since <= now < until if since <= until else now >= since or now < until

    def _in(self, prompt: str) -> bool:
        if not self.texts:
            return True
        lower = prompt.lower()
        return any(text.lower() in lower for text in self.texts)


@dataclass(frozen=True, slots=True)
class Rule:
    """``models`` are what ``action`` is about: "provider/model" or "model", with ``*`` and ``?``.

    ``quality_target`` (0-1) is for learned routing, ``cost_cap`` (USD) for a request.
    """

    name: str
    match: Match = field(default_factory=Match)
    action: Action = ""
    models: tuple[str, ...] = ()
    quality_target: float | None = None
    cost_cap: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Effect:
    """What the rules that match a request want of it, by the rules' names; ``allowed`` are the
    models that its client may use, where not all.
    """

    applied: tuple[str, ...] = ()
    forced: Rule | None = None
    preferred: Rule | None = None
    forbidding: tuple[Rule, ...] = ()
    quality_target: float | None = None
    cost_cap: Decimal | None = None
    allowed: tuple[str, ...] = ()

    def exclusion_reason(self, provider: str, model: str) -> str | None:
        """Why this model may not answer, if it may not."""
        if self.allowed and not names(self.allowed, provider, model):
            return "not allowed to this API key"
        for rule in self.forbidding:
            if names(rule.models, provider, model):
                return f'forbidden by the rule "{rule.name}"'
        if self.forced is not None and not names(self.forced.models, provider, model):
            return f'the rule "{self.forced.name}" forces another'
        return None


NO_EFFECT = Effect()


def names(models: Iterable[str], provider: str, model: str) -> bool:
    """Whether one of ``models`` stands for this one."""
    ref = f"{provider}/{model}"
    return any(fnmatchcase(ref, name) or fnmatchcase(model, name) for name in models)


def effect_of(rules: Iterable[Rule], subject: Subject) -> Effect:
    """What ``rules``, in their order, want of ``subject``."""
    applied = [rule for rule in rules if rule.match.holds(subject)]
    if not applied:
        return NO_EFFECT
    return Effect(
        applied=tuple(rule.name for rule in applied),
        forced=next((rule for rule in applied if rule.action == "force"), None),
        preferred=next((rule for rule in applied if rule.action == "prefer"), None),
        forbidding=tuple(rule for rule in applied if rule.action == "forbid"),
        quality_target=next(
            (r.quality_target for r in applied if r.quality_target is not None), None
        ),
        cost_cap=next((r.cost_cap for r in applied if r.cost_cap is not None), None),
    )
