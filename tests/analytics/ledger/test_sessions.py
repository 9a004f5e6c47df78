"""The sums of sessions are those of their rows, whatever is written, settled and removed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib import import_module
from io import StringIO
from types import SimpleNamespace
from typing import Any

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.db.models import F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from analytics.ledger.ledger import LedgerEntry, write_entries
from analytics.ledger.retention import prune
from analytics.ledger.rollups import totals_differ, totals_update
from analytics.ledger.sessions import SessionKey, rows_of, sessions_differ
from analytics.ledger.settlement import BackgroundOutcome, request_settle
from analytics.ledger.undo_replay import replayed_remove
from analytics.models import (
    AgentSession,
    DailyRollup,
    HourlyRollup,
    ProviderObject,
    RequestRecord,
)
from analytics.reports.breakdown import breakdown
from analytics.reports.sum_sources import RECORDED
from tests.factories import RequestRecordFactory, RoutingMetricFactory

D = Decimal
# Totals are summed hour by hour up to now, so that an early day would take long.
NOW = datetime.now(UTC).replace(hour=12, minute=30, second=0, microsecond=0) - timedelta(days=2)

COSTS = st.none() | st.decimals(0, 5, places=10)
REQUESTS = st.fixed_dictionaries({
    "session_id": st.sampled_from(["", "s1", "s2"]),
    "tenant": st.sampled_from(["", "team:a"]),
    "sub_agent": st.sampled_from(["", "a1", "a2"]),
    "agent": st.sampled_from(["", "codex"]),
    "turn": st.sampled_from(["", "human", "tool_result"]),
    "status": st.sampled_from(["ok", "partial", "error", "refused"]),
    "endpoint": st.sampled_from(["complete", "messages", "batches"]),
    "cost": COSTS,
    "savings": COSTS,
    "cache_hit": st.booleans(),
    "tokens_in": st.integers(0, 10**6),
    "cache_read_tokens": st.integers(0, 10**5),
    "tools_called": st.none() | st.lists(st.sampled_from(["Read", "Bash"]), max_size=3),
    "replayed": st.booleans(),
    "minutes": st.integers(0, 10_000),
})  # fmt: skip


def entry(**fields: Any) -> LedgerEntry:
    at = NOW + timedelta(minutes=fields.pop("minutes", 0))
    if fields.get("status") == "refused":
        fields["replayed"] = False  # what is replayed was answered
    decision = RoutingMetricFactory.build(
        request=RequestRecordFactory.build(created_at=at, **fields),
        prompt_cache_saved=fields.get("savings"),
    )
    if fields.get("status") == "refused":
        return LedgerEntry(decision.request)
    return LedgerEntry(decision.request, decision)


def spans_are_right() -> None:
    for row in AgentSession.objects.all():
        rows = rows_of(SessionKey(row.tenant, row.session_id, row.sub_agent))
        times = list(rows.values_list("created_at", flat=True))
        assert row.started_at <= min(times)
        assert row.last_at >= max(times)


class TestProperty(TestCase):
    @settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(st.lists(REQUESTS, max_size=6), max_size=4))
    def test_the_sums_are_those_of_the_rows(self, groups: list[list[dict[str, Any]]]) -> None:
        with transaction.atomic():
            for group in groups:
                if group:
                    write_entries([entry(**fields) for fields in group])
            assert list(sessions_differ()) == []
            spans_are_right()
            rows = RequestRecord.objects.exclude(session_id="").exclude(status="refused")
            rows = rows.exclude(endpoint="batches")
            wanted = set(rows.values_list("tenant", "session_id"))
            whole = AgentSession.objects.filter(sub_agent="")
            assert set(whole.values_list("tenant", "session_id")) == wanted
            for _ in replayed_remove(3):
                pass
            assert list(sessions_differ()) == []
            assert not AgentSession.objects.filter(requests__lte=0).exists()
            transaction.set_rollback(True)


@pytest.mark.django_db
class TestSessions:
    def test_a_sub_agent_counts_in_its_session_and_alone(self) -> None:
        write_entries([
            entry(session_id="s", cost=D("1"), user_id="", agent="codex"),
            entry(session_id="s", cost=D("0.3"), sub_agent="a", parent_agent="", user_id="ann"),
            entry(session_id="s", cost=D("0.2"), sub_agent="b", parent_agent="a"),
        ])  # fmt: skip
        rows = {row.sub_agent: row for row in AgentSession.objects.all()}
        assert {name: row.cost for name, row in rows.items()} == {
            "": D("1.5"), "a": D("0.3"), "b": D("0.2"),
        }  # fmt: skip
        assert rows[""].user_id == "ann"
        assert rows[""].agent == "codex"
        assert rows["b"].parent_agent == "a"

    def test_tenants_may_choose_the_same_id(self) -> None:
        write_entries([
            entry(session_id="s", tenant="team:a", cost=D(1)),
            entry(session_id="s", tenant="team:b", cost=D(2)),
        ])  # fmt: skip
        costs = AgentSession.objects.order_by("cost").values_list("tenant", "cost")
        assert list(costs) == [("team:a", D(1)), ("team:b", D(2))]

    def test_a_stopped_session_stays_stopped(self) -> None:
        write_entries([entry(session_id="s")])
        AgentSession.objects.update(stopped_at=NOW, stop_reason="enough")
        write_entries([entry(session_id="s")])
        row = AgentSession.objects.get()
        assert (row.requests, row.stopped_at, row.stop_reason) == (2, NOW, "enough")

    def test_what_is_settled_later_is_added_once(self) -> None:
        pending = entry(session_id="s", cost=None, endpoint="responses")
        write_entries([pending])
        kept = ProviderObject.objects.create(
            provider="openai", kind="response", object_id="resp_1",
            request_id=pending.request.pk, recorded=False,
        )  # fmt: skip
        outcome = BackgroundOutcome(tokens_in=100, tokens_out=5, cost=D("0.25"))
        request_settle(kept, "completed", outcome)
        request_settle(kept, "completed", outcome)
        assert list(sessions_differ()) == []
        row = AgentSession.objects.get()
        assert (row.cost, row.tokens_in, row.unpriced, row.requests) == (D("0.25"), 100, 0, 1)

    def test_a_session_is_pruned_with_its_last_request(self) -> None:
        now = datetime.now(UTC)
        write_entries([
            LedgerEntry(RequestRecordFactory.build(
                session_id=name, created_at=now - timedelta(days=days)))
            for name, days in (("old", 9), ("long", 9), ("long", 1))
        ])  # fmt: skip
        call_command("prune", "--days", "5", stdout=StringIO(), stderr=StringIO())
        row = AgentSession.objects.get()
        assert (row.session_id, row.requests) == ("long", 2)
        assert list(sessions_differ()) == [], "a session of which requests are pruned is left out"

    def test_the_command_finds_and_mends_a_difference(self) -> None:
        write_entries([entry(session_id="s", cost=D(1))])
        AgentSession.objects.update(cost=F("cost") + 1)
        assert list(sessions_differ()) == [SessionKey("", "s")]
        with pytest.raises(CommandError):
            call_command("rebuild_totals", "--check", stdout=StringIO(), stderr=StringIO())
        call_command("rebuild_totals", stdout=StringIO(), stderr=StringIO())
        assert AgentSession.objects.get().cost == D(1)
        call_command("rebuild_totals", "--check", stdout=StringIO(), stderr=StringIO())


@pytest.mark.django_db
class TestUpgrade:
    """The migration sums what was recorded before."""

    migration = import_module("analytics.migrations.0036_session_sums")

    def editor(self) -> Any:
        return SimpleNamespace(connection=connection)

    def test_requests_from_before_have_their_sessions(self) -> None:
        for number in range(7):
            RoutingMetricFactory(
                request__session_id="s" if number % 2 else "",
                request__cost=D("0.1000000001") * number,
                request__savings=D("0.3"),
                prompt_cache_saved=D("0.0000000007"),
            )
        RequestRecordFactory(session_id="s", status="refused")
        RequestRecordFactory(session_id="s", tenant="team:a", cost=None)
        self.migration.sessions_fill(apps, self.editor())
        assert AgentSession.objects.count() == 2
        assert list(sessions_differ()) == []
        write_entries([entry(session_id="s", cost=D(1))])
        assert list(sessions_differ()) == []

    @pytest.mark.parametrize("pruned", [False, True])
    def test_roll_ups_are_summed_again_and_those_of_pruned_hours_stay(self, pruned: bool) -> None:
        now = datetime.now(UTC)
        for days in (9, 1):
            RoutingMetricFactory(
                request__created_at=now - timedelta(days=days), request__project="p"
            )
        for _ in totals_update():
            pass
        if pruned:
            for _ in prune(before=now - timedelta(days=5)):
                pass
        new = ("agent", "turn", "tool", "key", "tenant", "project")
        for table in (HourlyRollup, DailyRollup):
            table.objects.filter(dimension__in=new).delete()
        self.migration.rollups_renew(apps, self.editor())
        for _ in totals_update():
            pass
        assert list(totals_differ()) == []
        names = {row["name"]: row["requests"] for row in breakdown("project", now - timedelta(30))}
        assert names == ({"p": 1, "(none)": 1} if pruned else {"p": 2})
        strategies = RECORDED.by("strategy", now - timedelta(days=30))
        assert sum(figures["requests"] for figures in strategies.values()) == 2
