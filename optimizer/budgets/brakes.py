"""Brakes on sessions: stops of an operator, warnings of soft limits, runaway agents."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial

from analytics.budgets.claims import Payer
from analytics.ledger.brakes import (
    Runaway,
    SoftLimitPassed,
    runaway_note,
    runaway_sessions,
    soft_limits_passed,
    stopped_sessions,
)
from analytics.ledger.ledger import Ledger
from analytics.ledger.sessions import SessionKey
from analytics.models import Budget
from analytics.money import dollars
from optimizer.domain.client import Client
from optimizer.domain.identifiers import CHAT
from optimizer.domain.loops import NO_LOOP, loop_of
from optimizer.domain.request import GatewayRequest
from optimizer.domain.result import SessionStopped
from optimizer.domain.turns import HUMAN
from optimizer.shared.snapshot import Snapshot
from providers.values import frozen

logger = logging.getLogger(__name__)
_SLOWEST_SECONDS = 30.0
_MOST_NOTED = 10_000


@frozen
class RunawayPolicy:
    """When an agent counts as running away, and what happens then.

    ``action`` is "off", "warn", "slow" or "stop". An agent runs away once it has repeated the
    same steps ``rounds`` times, or has spent ``cost`` USD since a person's last words; zero turns
    a sign off.
    """

    action: str = "warn"
    rounds: int = 5
    cost: Decimal = Decimal(25)


class SessionBrakes:
    """Holds sessions back before their next call, one instance per process.

    Both refreshes read the database, so do not call them on the event loop.
    """

    def __init__(
        self,
        policy: RunawayPolicy,
        ledger: Ledger,
        sleep: Callable[[float], object] = asyncio.sleep,
    ) -> None:
        self._policy = policy
        self._ledger = ledger
        self._sleep = sleep
        self._stopped: Snapshot[dict[SessionKey, str]] = Snapshot(stopped_sessions)
        self._soft: Snapshot[list[SoftLimitPassed]] = Snapshot(soft_limits_passed)
        self._dear: Snapshot[dict[SessionKey, Runaway]] = Snapshot(
            lambda: runaway_sessions(self._policy.cost)
        )
        self.soft_limits: Mapping[tuple[str, str], SoftLimitPassed] = {}
        """The soft limits that are passed, by scope and subject; mostly there are none."""
        self._noted: dict[SessionKey, None] = {}

    def refresh(self) -> None:
        """Read the stopped sessions, and the soft limits that are passed."""
        self._stopped.refresh()
        self._soft.refresh()
        passed = self._soft.value or ()
        self.soft_limits = {(limit.scope, limit.subject): limit for limit in passed}

    def refresh_runaways(self) -> None:
        """Read which sessions have cost much since a person's last words."""
        if self._policy.action != "off" and self._policy.cost > 0:
            self._dear.refresh()

    def must_go_on(self, key: SessionKey) -> None:
        """Raise :class:`optimizer.domain.result.SessionStopped` if an operator stopped it."""
        stopped = self._stopped.value
        if stopped and (reason := stopped.get(key)) is not None:
            raise SessionStopped(f"An operator stopped this session: {reason}.")

    async def check(self, request: GatewayRequest) -> Sequence[str]:
        """Return what to warn the client of, before a call of ``request``.

        It waits first where a runaway agent is slowed. Raises
        :class:`optimizer.domain.result.SessionStopped`.
        """
        key = SessionKey(request.client.tenant, request.session.id)
        if self._stopped.value:
            self.must_go_on(key)
        warnings: list[str] = []
        if self.soft_limits:
            warnings += self.soft_warnings(request.client, request.session_id, request.user_id)
        runaway, delay = "", 0.0
        if self._policy.action != "off" and request.turn not in {HUMAN, ""}:
            runaway, delay = self._runaway(request, key)
        if runaway:
            warnings.append(runaway)
            self._note(key, runaway)
            if self._policy.action == "stop":
                raise SessionStopped(f"{runaway} Say what to do next, or start a new session.")
            if self._policy.action == "slow":
                await self._sleep(delay)  # type: ignore[misc]
        return warnings

    def soft_warnings(self, client: Client, session: str, user: str) -> Sequence[str]:
        """Return a warning for each soft limit that those who pay for a request have passed."""
        payer = Payer.of(
            key=client.key, user=user, tenant=client.tenant, project=client.project,
            session=session,
        )  # fmt: skip
        subjects = {
            Budget.Scope.EVERYTHING: "",
            Budget.Scope.KEY: payer.key,
            Budget.Scope.USER: payer.user,
            Budget.Scope.TEAM: payer.team,
            Budget.Scope.PROJECT: payer.project,
            Budget.Scope.SESSION: payer.session,
        }
        warnings = []
        for scope, subject in subjects.items():
            passed = self.soft_limits.get((scope, subject))
            if passed is not None and (subject or scope == Budget.Scope.EVERYTHING):
                whose = "All requests have" if not subject else f"This {scope} has"
                limit = "" if passed.limit is None else f" The limit is {dollars(passed.limit)}."
                warnings.append(
                    f"{whose} spent {dollars(passed.spent)}, more than the soft limit of "
                    f"{dollars(passed.soft_limit)}.{limit}"
                )
        return warnings

    def _runaway(self, request: GatewayRequest, key: SessionKey) -> tuple[str, float]:
        """Return what shows that the agent runs away, and how long to slow it in seconds."""
        policy = self._policy
        # Two rounds are the least that can be a loop at all.
        loop = loop_of(request.chat) if policy.rounds > 1 else NO_LOOP
        if loop.rounds >= policy.rounds > 1:
            delay = min(_SLOWEST_SECONDS, 2.0 ** min(loop.rounds - policy.rounds, 5))
            what = f"The agent has taken the same steps {loop.rounds} times, lately {loop.tool}."
            return what, delay
        dear = (self._dear.value or {}).get(key) if request.session.agent != CHAT else None
        if dear is not None:
            what = (
                f"The agent has spent {dollars(dear.cost)} in {dear.calls} calls since a person's "
                "last words."
            )
            return what, min(_SLOWEST_SECONDS, float(dear.cost / policy.cost))
        return "", 0.0

    def _note(self, key: SessionKey, reason: str) -> None:
        """Write once, behind the records that wait, that the session ran away."""
        if key in self._noted or not key.session_id:
            return
        if len(self._noted) >= _MOST_NOTED:
            self._noted.pop(next(iter(self._noted)))
        self._noted[key] = None
        logger.warning("A session runs away: %s", reason)
        self._ledger.run(partial(runaway_note, key, reason))
