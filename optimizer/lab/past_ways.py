"""The ways in which a policy's levers could have asked models for past requests."""

from __future__ import annotations

from typing import NamedTuple

from analytics.models import RequestRecord
from optimizer.domain.request import GatewayRequest
from optimizer.gateway.levers.way_options import EffortOptions, FlexOptions
from optimizer.gateway.levers.ways import EFFORT, FLEX, LeverWays, RequestWays
from optimizer.policies.policy import PolicySpec
from providers.chat import Chat, Reasoning
from routing.models import ModelRef, RoutingDecision
from routing.rules import Subject

_ASSUMED_SECONDS = 600.0
NO_LENGTH = "too few answers of its kind at the lower effort, or at its own, are recorded"


class AskedWay(NamedTuple):
    """How a model is asked: a lower effort than the client's, and a service tier, "" for neither.

    ``length`` is how many times as long answers are at that effort as at the recorded one.
    """

    effort: str = ""
    service_tier: str = ""
    length: float = 1.0


class PastWays:
    """Finds the ways for requests of the log.

    A request could wait if the policy's ``waits`` holds for it: the log does not say which could.
    """

    def __init__(self, ways: LeverWays) -> None:
        self._ways = ways

    def of(self, record: RequestRecord, policy: PolicySpec, subject: Subject) -> RequestWays | None:
        """Return the ways of a past request under ``policy``, ``None`` if it has no levers."""
        levers = policy.levers
        if FLEX in levers and (policy.waits is None or not policy.waits.holds(subject)):
            levers -= {FLEX}
        if not levers:
            return None
        effort = effort_asked(record)
        request = GatewayRequest(
            Chat((), reasoning=Reasoning(effort) if effort else None),
            "",
            "",
            turn=record.turn,
            deadline=_ASSUMED_SECONDS if FLEX in levers else None,
        )
        return RequestWays(
            self._ways,
            request,
            EffortOptions() if EFFORT in levers else None,
            FlexOptions() if FLEX in levers else None,
        )

    def asked(self, record: RequestRecord, decided: RoutingDecision) -> AskedWay | str:
        """Return how the decision asks its model, or the reason why the log cannot tell.

        The lengths of answers at an effort are those of the log itself.
        """
        variant = decided.metadata.get("variant", {})
        effort, tier = variant.get("effort", ""), variant.get("service_tier", "")
        if not effort or effort == record.effort:
            return AskedWay(effort, tier)
        before, after = (self._length(record, decided.ref, at) for at in (record.effort, effort))
        if not before or not after:
            return NO_LENGTH
        return AskedWay(effort, tier, after / before)

    def _length(self, record: RequestRecord, ref: ModelRef, effort: str) -> int | None:
        lengths = self._ways.lengths
        if lengths is None:
            return None
        return lengths.at_effort(ref, record.turn, record.tier, effort)


def effort_asked(record: RequestRecord) -> str:
    """Return the effort that the client asked for, where a lever has lowered it."""
    trial = (record.levers or {}).get(EFFORT, {})
    return str(trial.get("from", "")) if _treated(trial) else record.effort


def effort_lowered(record: RequestRecord) -> str:
    """Return the effort to which a lever has lowered the request, "" if none has."""
    return record.effort if _treated((record.levers or {}).get(EFFORT, {})) else ""


def effort_propensity(record: RequestRecord, lowered: str) -> float:
    """Return the probability with which the log's request was asked at ``lowered`` effort.

    "" is the effort that the client asked for.
    """
    trial = (record.levers or {}).get(EFFORT)
    if trial is None:
        return 0.0 if lowered else 1.0
    treated = float(trial.get("p", 1.0))
    if not lowered:
        return 1 - treated
    return treated if lowered == trial.get("to") else 0.0


def _treated(trial: dict[str, object]) -> bool:
    return trial.get("arm") == "treated"
