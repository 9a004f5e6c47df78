"""The trials of levers, read from the ledger as arrays: one row a lever and eligible request."""

from __future__ import annotations

import math
from array import array
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import numpy as np

from analytics.models import Comparison, Feedback
from analytics.reports.sum_queries import requests_in
from routing.evaluation.lever_effects import TrialRows

_CHUNK = 5000
_COLUMNS = ("id", "created_at", "session_id", "tenant", "cost", "levers")
_NAN = float("nan")
PART_OF = "part_of"
"""The field of a trial that names the request which a record belongs to, if it has its own."""


@dataclass(frozen=True, slots=True)
class TrialReading:
    """How trials are read.

    ``order`` are the levers as they act on a request, one after the other, ``by_request`` those
    whose arm each request has of its own (a session has one of the others), and ``joint_share``
    the share of units that all levers leave alone.
    """

    order: Sequence[str]
    by_request: frozenset[str]
    joint_share: float


@dataclass(slots=True)
class _Columns:
    at: array[float] = field(default_factory=lambda: array("d"))
    cost: array[float] = field(default_factory=lambda: array("d"))
    treated: array[int] = field(default_factory=lambda: array("b"))
    propensity: array[float] = field(default_factory=lambda: array("d"))
    unit: array[int] = field(default_factory=lambda: array("q"))
    expected: array[float] = field(default_factory=lambda: array("d"))
    joint: array[int] = field(default_factory=lambda: array("b"))
    score: array[float] = field(default_factory=lambda: array("d"))

    def add(self, at: float, cost: float, score: float, unit: int, trial: _Trial) -> None:
        self.at.append(at)
        self.cost.append(cost)
        self.treated.append(trial.treated)
        self.propensity.append(trial.propensity)
        self.unit.append(unit)
        self.expected.append(trial.expected)
        self.joint.append(trial.joint)
        self.score.append(score)

    def since(self, moment: float) -> TrialRows:
        which = np.frombuffer(self.at) >= moment if self.at else np.zeros(0, dtype=np.bool_)

        def of(values: array[Any], kind: type) -> Any:
            return np.array(values, dtype=kind)[which]

        return TrialRows(
            of(self.cost, np.float64), of(self.treated, np.bool_), of(self.propensity, np.float64),
            of(self.unit, np.int64), of(self.expected, np.float64), of(self.joint, np.bool_),
            of(self.score, np.float64),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Trial:
    treated: bool
    propensity: float
    expected: float
    joint: bool

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> _Trial:
        expected = stored.get("x")
        return cls(
            stored["arm"] == "treated",
            float(stored["p"]),
            _NAN if expected is None else float(expected),
            bool(stored.get("joint")),
        )


class TrialLog:
    """The trials of a period, by lever, and of all levers together."""

    def __init__(self, levers: Mapping[str, _Columns], together: _Columns) -> None:
        self._levers = levers
        self._together = together
        self.names = sorted(levers)

    def of(self, lever: str, since: datetime) -> TrialRows:
        """Return the trials of one lever from ``since`` on."""
        return self._levers[lever].since(since.timestamp())

    def together(self, since: datetime) -> TrialRows:
        """Return the requests that a lever to be proven would change, each once.

        ``treated`` is whether the request is not in the joint control.
        """
        return self._together.since(since.timestamp())


@dataclass(slots=True)
class _Part:
    """What belongs to a request and is recorded apart from it: its ``cost``, and a score."""

    cost: float = 0.0
    score: float = _NAN


_NOTHING = _Part()


class _Parts:
    """Costs of requests that are recorded apart from them.

    They are a batch's answers that could not be used, and calls for requests that it may still
    answer. Those of a request without a record of its own count with the first of them.
    """

    def __init__(self, first: Mapping[UUID, UUID], parts: Mapping[UUID, _Part]) -> None:
        self._first = first
        self._parts = parts

    def added_to(self, pk: UUID, stored: Mapping[str, Any]) -> _Part | None:
        """Return what is added to a record, ``None`` if it counts with another."""
        belongs = stored.get("batch", {}).get(PART_OF)
        if belongs is None:
            return self._parts.get(pk, _NOTHING)
        return self._parts[pk] if self._first.get(UUID(belongs)) == pk else None


_NO_PARTS = _Parts({}, {})


def _parts_in(since: datetime, until: datetime | None, scores: Mapping[Any, float]) -> _Parts:
    rows = requests_in(since, until).filter(
        levers__isnull=False, replayed=False, levers__batch__has_key=PART_OF
    )
    costs_of: dict[UUID, list[tuple[UUID, float]]] = defaultdict(list)
    for pk, cost, stored in rows.order_by("id").values_list("id", "cost", "levers"):
        assert stored is not None
        belongs = UUID(stored["batch"][PART_OF])
        costs_of[belongs].append((pk, _NAN if cost is None else float(cost)))
    if not costs_of:
        return _NO_PARTS
    own_records = requests_in(since, until).filter(levers__isnull=False, replayed=False)
    have_own = set(own_records.filter(pk__in=list(costs_of)).values_list("pk", flat=True))
    first: dict[UUID, UUID] = {}
    parts: dict[UUID, _Part] = {}
    for belongs, costs in costs_of.items():
        known = [score for pk, _ in costs if (score := scores.get(pk)) is not None]
        whole = _Part(sum(cost for _, cost in costs), known[0] if known else _NAN)
        if belongs in have_own:
            parts[belongs] = whole
            continue
        first_pk, own_cost = costs[0]
        first[belongs] = first_pk
        parts[first_pk] = _Part(whole.cost - own_cost, whole.score)
    return _Parts(first, parts)


def read_trials(since: datetime, until: datetime | None, reading: TrialReading) -> TrialLog:
    """Return the trials of the requests of ``[since, until)``; what was replayed is no trial."""
    scores = scores_of(since, until)
    parts = _parts_in(since, until, scores)
    levers: dict[str, _Columns] = defaultdict(_Columns)
    together = _Columns()
    rows = requests_in(since, until).filter(levers__isnull=False, replayed=False).order_by()
    for pk, created, session, tenant, cost, stored in rows.values_list(*_COLUMNS).iterator(_CHUNK):
        at, paid = created.timestamp(), _NAN if cost is None else float(cost)
        score = scores.get(pk, _NAN)
        if parts is not _NO_PARTS:
            added = parts.added_to(pk, stored)
            if added is None:
                continue
            paid += added.cost
            if math.isnan(score):
                score = added.score
        # A hash of 64 bits stands for the name: millions of names would take too much memory.
        alone = hash(pk)
        unit = hash((tenant, session)) if session else alone
        trials = {name: _Trial.of(trial) for name, trial in stored.items()}
        for name, trial in trials.items():
            own = alone if name in reading.by_request else unit
            levers[name].add(at, paid, score, own, trial)
        if any(trial.propensity < 1 for trial in trials.values()):
            joint = any(trial.joint for trial in trials.values())
            # What a lever expects may depend on the arms of those before it; the first one's
            # does not.
            first = next((trials[name] for name in reading.order if name in trials), None)
            together.add(at, paid, score, unit, _Trial(
                not joint, 1 - reading.joint_share, _NAN if first is None else first.expected, joint
            ))  # fmt: skip
    return TrialLog(levers, together)


def scores_of(since: datetime, until: datetime | None) -> dict[Any, float]:
    """Return the score of each request with a trial: the mean of its verdicts, else the judge's."""
    requests: dict[str, Any] = {"request__levers__isnull": False, "request__created_at__gte": since}
    if until is not None:
        requests["request__created_at__lt"] = until
    judged = Comparison.objects.filter(score__isnull=False, served=True, **requests)
    scores: dict[Any, float] = {
        request: score
        for request, score in judged.order_by().values_list("request_id", "score")
        if score is not None
    }
    given: dict[Any, list[float]] = defaultdict(list)
    verdicts = Feedback.objects.filter(**requests).order_by()
    for request, score in verdicts.values_list("request_id", "score"):
        given[request].append(score)
    return scores | {request: sum(of) / len(of) for request, of in given.items()}
