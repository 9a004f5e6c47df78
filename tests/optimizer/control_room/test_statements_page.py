"""Statements in the room: a month by team, project and key, as page, HTML, CSV and PDF."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from analytics.reports import statement_pdf
from analytics.reports.statement import statement
from analytics.reports.statement_pdf import as_pdf
from tests.factories import RoutingMetricFactory

pytestmark = pytest.mark.django_db
AT = datetime(2026, 10, 15, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _october() -> None:
    for team, cost in (("Größe & <Co>", "3"), ("Care", "2"), ("Care", "1.5")):
        RoutingMetricFactory(
            created_at=AT, request__created_at=AT, request__tenant=f"team:{team}",
            request__project="bot", request__api_key="sk-aaaa", request__cost=Decimal(cost),
            actual_cost=Decimal(cost), baseline_cost=Decimal(10),
        )  # fmt: skip


def get(client: Client, page: str, /, **query: str) -> object:
    return client.get(reverse(f"admin:{page}"), {"month": "2026-10", **query})


def test_all_teams_then_one(admin_client: Client) -> None:
    with CaptureQueriesContext(connection) as queries:
        text = get(admin_client, "statements").content.decode()
    assert len(queries) <= 15
    assert "Statement of 2026-10, all teams" in text
    assert "Größe &amp; &lt;Co&gt;" in text
    assert "$3.50" in text
    link = "?month=2026-10&amp;by=team&amp;name=Care"
    assert link in text
    one = get(admin_client, "statements", by="team", name="Care").content.decode()
    assert "Statement of 2026-10, team Care" in one
    assert "2026-10-15" in one
    assert "$3.00" not in one


@pytest.mark.parametrize("by", ["project", "key", "user", "agent", "tag"])
def test_by_anything_else(admin_client: Client, by: str) -> None:
    assert f"all {by}s" in get(admin_client, "statements", by=by).content.decode()


def test_an_empty_month_is_called_empty(admin_client: Client) -> None:
    text = get(admin_client, "statements", month="2025-01").content.decode()
    assert "There were no requests of this kind in this month." in text


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ({"month": "2026-13"}, "Write a month like 2026-10."),
        ({"month": "x"}, "Write a month like 2026-10."),
        ({"by": "planet"}, "Select a valid choice"),
    ],
)
def test_mistakes_are_named(admin_client: Client, query: dict[str, str], error: str) -> None:
    assert error in get(admin_client, "statements", **query).content.decode()
    answer = get(admin_client, "statements_export", **{"by": "team", "format": "csv", **query})
    assert answer.status_code == 400
    assert error in answer.content.decode()
    assert next(iter(query)) in answer.content.decode()


def test_files(admin_client: Client) -> None:
    asked = {"by": "team", "name": "Größe & <Co>"}
    answer = get(admin_client, "statements_export", format="csv", **asked)
    rows = list(csv.reader(io.StringIO(answer.content.decode())))
    (cost,) = (row[3] for row in rows if row[:3] == ["total", "Größe & <Co>", "cost"])
    assert Decimal(cost) == 3
    assert answer["Content-Disposition"] == (
        'attachment; filename="statement-2026-10-team-Gr-e-Co-.csv"'
    )
    html = get(admin_client, "statements_export", format="html", **asked).content.decode()
    assert "Größe &amp; &lt;Co&gt;" in html
    assert get(admin_client, "statements_export", format="doc", **asked).status_code == 400


def test_pdf(admin_client: Client, tmp_path: Path) -> None:
    pytest.importorskip("reportlab")
    answer = get(admin_client, "statements_export", by="team", name="Größe & <Co>", format="pdf")
    assert answer["Content-Type"] == "application/pdf"
    assert answer.content.startswith(b"%PDF-")
    file = tmp_path / "care.pdf"
    call_command(
        "statement", month="2026-10", by="team", name="Care", format="pdf", output=file,
        stdout=io.StringIO(),
    )  # fmt: skip
    assert file.read_bytes().rstrip().endswith(b"%%EOF")
    days = [
        {**one, "day": f"d{n}"}
        for n in range(200)
        for one in statement("2026-10", "team", "Care")["days"]
    ]
    long = {**statement("2026-10", "team", "Care"), "days": days}
    assert as_pdf(long).count(b"/Type /Page\n") > 2


def test_without_its_package_pdf_says_what_to_install(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "reportlab.lib", None)
    answer = get(admin_client, "statements_export", by="team", format="pdf")
    assert answer.status_code == 501
    assert b"requirements/pdf.txt" in answer.content
    with pytest.raises(CommandError, match="needs --output"):
        call_command("statement", month="2026-10", format="pdf")
    monkeypatch.setattr(statement_pdf, "find_spec", lambda name: None)
    text = get(admin_client, "statements").content.decode()
    assert "format=pdf" not in text
    assert "install requirements/pdf.txt" in text


def test_only_who_may_view_requests() -> None:
    client = Client()
    client.force_login(User.objects.create_user("x", is_staff=True))
    assert get(client, "statements").status_code == 403
    assert get(client, "statements_export", by="team", format="csv").status_code == 403
