"""The admin's pages of sessions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import AsyncClient, Client
from django.urls import reverse

from analytics.access.roles import roles_make
from analytics.ledger.ledger import LedgerEntry, write_entries
from analytics.models import AgentSession, RequestRecord, SessionStall
from analytics.reports.sessions import session_calls, timeline
from tests.factories import RequestRecordFactory, RoutingMetricFactory

pytestmark = pytest.mark.django_db
LIST = "admin:analytics_agentsession_changelist"
START = datetime(2026, 3, 10, 12, tzinfo=UTC)


def call(minute: float, sub_agent: str = "", parent: str = "", **fields: Any) -> RequestRecord:
    request = RequestRecordFactory.build(
        **{
            "session_id": "run",
            "agent": "claude-code",
            "created_at": START + timedelta(minutes=minute),
            "sub_agent": sub_agent,
            "parent_agent": parent,
            "turn": "sub_agent" if sub_agent else "human",
            **fields,
        }
    )
    write_entries([LedgerEntry(request, RoutingMetricFactory.build(request=request))])
    return request


@pytest.fixture
def session() -> AgentSession:
    call(0, tools_called=["Task", "Task"], cost=Decimal("0.5"))
    call(1, "a")
    call(2, "b", "a", tools_called=["Read"])
    call(3, "c")
    call(4, "a", status="error", error_code="timeout")
    call(5, turn="tool_result", tools_called=["Read", "Bash"], response_id="msg_of_provider")
    return AgentSession.objects.get(sub_agent="")


def test_a_timeline_has_sub_agents_below_their_parents(session: AgentSession) -> None:
    told = timeline(session_calls(session))
    assert [(c.request.sub_agent, c.depth, c.begins) for c in told] == [
        ("", 0, False), ("a", 1, True), ("b", 2, True), ("a", 1, False), ("c", 1, True),
        ("", 0, False),
    ]  # fmt: skip
    assert told[0].tools == "Task × 2"


@pytest.mark.parametrize("parents", [{"a": "b", "b": "a"}, {"a": "a", "b": "gone"}])
def test_odd_parents_lose_no_call(parents: dict[str, str]) -> None:
    call(0)
    for minute, (name, parent) in enumerate(parents.items()):
        call(1 + minute, name, parent)
        call(5 + minute, name, parent)
    told = timeline(session_calls(AgentSession.objects.get(sub_agent="")))
    assert len(told) == 5
    assert len({c.request.pk for c in told}) == 5


def test_a_page_tells_the_session(admin_client: Client, session: AgentSession) -> None:
    page = admin_client.get(
        reverse("admin:analytics_agentsession_change", args=[session.pk])
    ).content.decode()
    for words in ("Sub-agent b", "Task × 2", "going on after a tool", "failed: timeout",
                  "first in that tier", "Cost by tool", "$0.50"):  # fmt: skip
        assert words in page, words


def test_the_page_takes_few_queries(
    admin_client: Client, session: AgentSession, django_assert_max_num_queries: Any
) -> None:
    for minute in range(30):
        call(10 + minute, f"sub{minute}")
    with django_assert_max_num_queries(12):
        admin_client.get(reverse("admin:analytics_agentsession_change", args=[session.pk]))


def test_the_list_has_the_dearest_first(
    admin_client: Client, session: AgentSession, django_assert_max_num_queries: Any
) -> None:
    call(0, session_id="dear", cost=Decimal(9))
    with django_assert_max_num_queries(15):
        page = admin_client.get(reverse(LIST))
    rows = page.context["cl"].result_list
    assert [row.session_id for row in rows] == ["dear", "run"]


def test_a_session_is_found_by_any_id(admin_client: Client, session: AgentSession) -> None:
    call(0, session_id="other")
    request = RequestRecord.objects.filter(sub_agent="b").get()
    for term in ("run", "a", "b", str(request.pk), f"chatcmpl-{request.pk.hex}",
                 f"resp_{request.pk}", "msg_of_provider"):  # fmt: skip
        rows = admin_client.get(reverse(LIST), {"q": term}).context["cl"].result_list
        assert [row.session_id for row in rows] == ["run"], term
    assert not admin_client.get(reverse(LIST), {"q": "nothing"}).context["cl"].result_list


def test_operators_stop_a_session_and_viewers_do_not(session: AgentSession) -> None:
    roles_make()
    stop = reverse("admin:analytics_agentsession_stop", args=[session.pk])
    for role, allowed in (("viewer", False), ("operator", True)):
        person = User.objects.create_user(role, is_staff=True)
        person.groups.add(Group.objects.get(name=role))
        client = Client()
        client.force_login(person)
        assert client.post(stop).status_code == (302 if allowed else 403)
        session.refresh_from_db()
        assert (session.stopped_at is not None) == allowed
    assert session.stop_reason == "by operator"
    assert client.get(stop).status_code == 405
    client.post(stop)
    session.refresh_from_db()
    assert (session.stopped_at, session.stop_reason) == (None, "")


@pytest.mark.django_db(transaction=True)
async def test_the_export_has_all_sessions(admin_user: User, session: AgentSession) -> None:
    client = AsyncClient()
    await client.aforce_login(admin_user)
    reply = await client.get(reverse("admin:analytics_agentsession_export"))
    lines = b"".join([part async for part in reply.streaming_content]).decode().splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("run,")


def test_a_page_shows_what_came_of_a_move(admin_client: Client, session: AgentSession) -> None:
    request = RequestRecord.objects.filter(sub_agent="").first()
    assert request is not None
    stall = SessionStall.objects.create(
        session_id="run", request_id=request.pk, at=START, model="claude/small",
        moved_to="claude/big",
    )  # fmt: skip
    url = reverse("admin:analytics_agentsession_change", args=[session.pk])
    page = admin_client.get(url).content.decode()
    assert "from claude/small to claude/big" in page
    assert "Not judged yet" in page
    stall.judged_at, stall.progressed, stall.calls = START, True, 7
    stall.extra_cost = Decimal("0.25")
    stall.save()
    page = admin_client.get(url).content.decode()
    assert "0 of the 7 calls weighed still repeated" in page
    assert "is $0.25." in page
    assert page.count("moved up, as the steps repeat") == 1


def test_cost_by_tool_has_a_page(admin_client: Client, session: AgentSession) -> None:
    RequestRecord.objects.update(created_at=datetime.now(UTC))
    page = admin_client.get(reverse("admin:tools")).content.decode()
    for words in ("Task", "Bash", "$0.50", "(none)"):
        assert words in page, words
    assert reverse("admin:tools") in admin_client.get(reverse(LIST)).content.decode()
    roles_make()
    nobody = User.objects.create_user("nobody", is_staff=True)
    client = Client()
    client.force_login(nobody)
    assert client.get(reverse("admin:tools")).status_code == 403
