"""Rules that operators write: which requests they match, and how they change routing.

All rules that match a request apply, in their order. If rules contradict each other, the
first one counts; but a model that any of the rules forbids is forbidden.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, time
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Literal
from zoneinfo import ZoneInfo

Action = Literal["", "force", "forbid", "prefer", "route"]
ACTIONS: tuple[Action, ...] = ("force", "forbid", "prefer", "route")


@dataclass(frozen=True, slots=True)
class Subject:
    """The facts of a request that rules match.

    ``tokens`` are the estimated input tokens; ``at`` is a time with a time zone.
    ``requested_model`` is the model's name as the client wrote it, "" if it names none.
    ``only_text`` is whether the request is text alone, without tools, images or documents.
    """

    prompt: str
    pattern: str
    tier: str
    tokens: int
    at: datetime
    user_id: str = ""
    tags: tuple[str, ...] = ()
    turn: str = ""
    agent: str = ""
    requested_model: str = ""
    only_text: bool = False


@dataclass(frozen=True, slots=True)
class Match:
    """The requests that a rule is for.

    A request must meet every condition that is given; a condition with several values is
    met by any of them. ``users``, ``agents`` and ``requested_models`` may contain ``*`` and ``?``.
    ``turns`` are kinds of turns in a session. ``texts`` are searched for in
    the prompt, in upper or lower case. ``only_text`` is met by requests without tools, images and
    documents. ``weekdays`` are 0 (Monday) to 6. ``since`` and
    ``until`` limit the time of day in ``zone``; the period includes midnight if ``since`` is
    later than ``until``.
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
    turns: frozenset[str] = frozenset()
    agents: tuple[str, ...] = ()
    requested_models: tuple[str, ...] = ()
    only_text: bool = False

    def holds(self, subject: Subject) -> bool:
        """Return whether the request meets every condition."""
        return (
            (not self.patterns or subject.pattern in self.patterns)
            and (not self.tiers or subject.tier in self.tiers)
            and (not self.turns or subject.turn in self.turns)
            and (not self.agents or any(fnmatchcase(subject.agent, a) for a in self.agents))
            and (
                not self.requested_models
                or any(fnmatchcase(subject.requested_model, m) for m in self.requested_models)
            )
            and (not self.only_text or subject.only_text)
            and (not self.tags or not self.tags.isdisjoint(subject.tags))
            and (self.min_tokens is None or subject.tokens >= self.min_tokens)
            and (self.max_tokens is None or subject.tokens <= self.max_tokens)
            and (not self.users or any(fnmatchcase(subject.user_id, u) for u in self.users))
            and self._includes_time(subject.at)
            and self._matches_text(subject.prompt)
        )

    def _includes_time(self, at: datetime) -> bool:
        if not self.weekdays and self.since is None and self.until is None:
            return True
        local = at.astimezone(ZoneInfo(self.zone))
        if self.weekdays and local.weekday() not in self.weekdays:
            return False
        since, until, now = self.since or time.min, self.until, local.time()
        if until is None:
            return now >= since
        return since <= now < until if since <= until else now >= since or now < until

    def _matches_text(self, prompt: str) -> bool:
        if not self.texts:
            return True
        lower = prompt.lower()
        return any(text.lower() in lower for text in self.texts)


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule: the requests that it is for, and what it changes.

    ``action`` applies to ``models``: "provider/model" or "model", with ``*`` and ``?``. The action
    ``route`` has no models: it leaves the choice to hybrid routing where a client named a model.
    ``quality_target`` (0-1) is for learned routing; ``cost_cap`` (USD) and ``latency_cap``
    (seconds) limit one request. ``deadline`` (seconds) is for requests that name none: within it
    their answers are wanted. ``answer_note`` is what the model is told of the answer's length or
    form, if the lever of short answers is in use; ``note_everywhere`` is whether that also holds
    for requests with tools or with a form of output. ``residency`` are regions that the data of
    the request must not leave.
    """

    name: str
    match: Match = field(default_factory=Match)
    action: Action = ""
    models: tuple[str, ...] = ()
    quality_target: float | None = None
    cost_cap: Decimal | None = None
    latency_cap: float | None = None
    deadline: float | None = None
    answer_note: str = ""
    note_everywhere: bool = False
    residency: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Effect:
    """The combined effect of the rules that match a request.

    ``applied`` are the names of these rules. ``allowed`` are the models that the client may
    use; if it is empty, the client may use all models. ``held`` are models that answer only where
    no other can. ``noted`` is the rule whose note on the answer counts. ``residency`` are the
    regions of all rules: the data must stay within each.
    """

    applied: tuple[str, ...] = ()
    forced: Rule | None = None
    preferred: Rule | None = None
    forbidding: tuple[Rule, ...] = ()
    routed: Rule | None = None
    quality_target: float | None = None
    cost_cap: Decimal | None = None
    latency_cap: float | None = None
    deadline: float | None = None
    allowed: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    noted: Rule | None = None
    residency: frozenset[str] = frozenset()

    def exclusion_reason(self, provider: str, model: str, snapshot_of: str = "") -> str | None:
        """Return why this model must not answer, or ``None`` if it may.

        What is said of the model that it is a snapshot of holds for the snapshot.
        """
        if self.allowed and not names(self.allowed, provider, model, snapshot_of):
            return "not allowed for this API key"
        for rule in self.forbidding:
            if names(rule.models, provider, model, snapshot_of):
                return f'forbidden by the rule "{rule.name}"'
        if self.forced is not None and not names(self.forced.models, provider, model, snapshot_of):
            return f'the rule "{self.forced.name}" forces another model'
        return None


NO_EFFECT = Effect()


def names(models: Iterable[str], provider: str, model: str, snapshot_of: str = "") -> bool:
    """Return whether one of ``models`` (names with ``*`` and ``?``) matches this model.

    One that matches the model that it is a snapshot of matches too.
    """
    ref = f"{provider}/{model}"
    if any(fnmatchcase(ref, name) or fnmatchcase(model, name) for name in models):
        return True
    return bool(snapshot_of) and names(models, provider, snapshot_of)


def effect_of(rules: Iterable[Rule], subject: Subject) -> Effect:
    """Return the combined effect of ``rules``, in their order, on the request ``subject``."""
    applied = [rule for rule in rules if rule.match.holds(subject)]
    if not applied:
        return NO_EFFECT
    return Effect(
        applied=tuple(rule.name for rule in applied),
        forced=next((rule for rule in applied if rule.action == "force"), None),
        preferred=next((rule for rule in applied if rule.action == "prefer"), None),
        forbidding=tuple(rule for rule in applied if rule.action == "forbid"),
        routed=next((rule for rule in applied if rule.action == "route"), None),
        quality_target=next(
            (r.quality_target for r in applied if r.quality_target is not None), None
        ),
        cost_cap=next((r.cost_cap for r in applied if r.cost_cap is not None), None),
        latency_cap=next((r.latency_cap for r in applied if r.latency_cap is not None), None),
        deadline=next((r.deadline for r in applied if r.deadline is not None), None),
        noted=next((rule for rule in applied if rule.answer_note), None),
        residency=frozenset().union(*(rule.residency for rule in applied)),
    )
