"""No text of a client acts in an export, breaks its format, or spoils its figures."""

from __future__ import annotations

import csv
import io
import json
import re
from decimal import Decimal
from html.parser import HTMLParser
from typing import Any

import pytest
from django.core import mail
from hypothesis import example, given
from hypothesis import strategies as st

from analytics.alerts.notice import Notice
from analytics.exports.csv import GUARD, csv_cell, csv_lines
from analytics.exports.markdown import markdown_cell, markdown_row
from analytics.exports.messages import chat_text, mail_subject
from analytics.exports.printable import printable
from analytics.exports.terminal import TerminalConsole
from analytics.models import AlertRule
from analytics.reports.report import report_with_charts
from analytics.reports.report_formats import as_csv, as_markdown, as_table
from analytics.reports.report_html import as_html
from analytics.reports.statement_formats import as_csv as statement_csv
from analytics.reports.statement_formats import as_html as statement_html
from analytics.reports.statement_formats import as_table as statement_table
from optimizer.monitoring.notifications import target_test
from tests.factories import RequestRecordFactory, RoutingMetricFactory

ATTACKS = (
    "=HYPERLINK(\"http://x\")", "+1", "-2+3", "@SUM(1)", "\t=1", "\r=1", "\n=1", " =1", "＝1",
    "<script>alert(1)</script>", "<img src=x onerror=y>", "a|b", "[x](http://y)", "![x](y)",
    "\x1b]0;title\x07\x1b[31m", "\u202eabc", "[bold]x[/bold]", "[/nothing]", "$\\frac$ \\$x$",
    "x\r\nBcc: y@z", "<!channel> <http://x|y>", "@here", "`x`", "'=1", "\ud800", "a\\|b", "&lt;b",
    "www.x.org", ":smile:", "",
)  # fmt: skip
texts = st.one_of(st.text(), st.sampled_from(ATTACKS), st.text("=+-@|<>[]()`\\\r\n\t'\" &;:!"))
storable = texts.map(lambda text: text.replace("\0", "").encode("utf-8", "replace").decode())
numbers = st.one_of(
    st.integers(), st.floats(allow_nan=False, allow_infinity=False),
    st.decimals(allow_nan=False, allow_infinity=False, places=10),
)  # fmt: skip
STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def without_guard(cell: str) -> str:
    return cell.removeprefix(GUARD)


@given(st.lists(st.tuples(storable, storable), min_size=1))
def test_csv_reads_back_without_its_guard(rows: list[tuple[str, str]]) -> None:
    read = list(csv.reader(io.StringIO(csv_lines(rows), newline="")))
    assert [tuple(map(without_guard, row)) for row in read] == rows
    for row in read:
        for cell in row:
            assert not cell.startswith(STARTS)
            assert not cell.lstrip().startswith(STARTS)


@given(numbers)
def test_figures_stay_figures_in_csv(number: Any) -> None:
    cell = str(csv_cell(number))
    assert type(number)(cell) == number
    assert not cell.startswith(GUARD)


@given(st.lists(texts, min_size=1, max_size=5))
def test_a_row_of_markdown_keeps_its_columns(values: list[str]) -> None:
    row = markdown_row(values)
    assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", row)) == len(values) + 1
    assert row.isprintable() or not re.search(r"[\x00-\x1f\x7f]", row)


@given(texts)
@example("[x](http://y) ![z](w) <b>")
def test_a_cell_of_markdown_is_text(value: str) -> None:
    cell = markdown_cell(value)
    plain = re.sub(r"\\.|&#\d+;", "", cell)
    assert not set(plain) & set("[]<>`*|!~#")
    assert "http://" not in cell


@given(texts)
def test_printable_text_has_nothing_that_acts(value: str) -> None:
    shown = printable(value)
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", shown)
    assert printable(shown) == shown
    shown.encode()


@given(texts)
def test_a_terminal_gets_no_commands_and_no_markup(value: str) -> None:
    out = io.StringIO()
    TerminalConsole(file=out, width=10_000, force_terminal=False).print(value)
    assert "\x1b" not in out.getvalue()
    assert "\x07" not in out.getvalue()
    if value.isascii() and value.isprintable():
        assert out.getvalue() == f"{value}\n"


@given(texts)
def test_chat_services_get_no_links_and_mentions(value: str) -> None:
    sent = chat_text(value)
    assert not set(sent) & set("<>\r\n")
    assert "](" not in sent
    assert "://" not in sent
    assert not re.search(r"(?<![^\W_])@\w", sent)
    json.dumps(sent)


@given(texts)
def test_a_subject_is_one_line(value: str) -> None:
    subject = mail_subject(value)
    assert len(subject) <= 120
    assert not re.search(r"[\x00-\x1f\x7f\u2028\u2029]", subject)


class Elements(HTMLParser):
    """Counts the elements of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert not [name for name, _ in attrs if name.startswith("on")]
        self.names.append(tag)


def history(names: tuple[str, ...]) -> None:
    for name in names:
        request = RequestRecordFactory(
            user_id=name[:128], tags=[name], cost=Decimal("0.5"), model=name[:100] or "m"
        )
        RoutingMetricFactory(request=request, baseline_cost=Decimal("0.25"))


@pytest.mark.django_db
def test_reports_show_hostile_names_as_text() -> None:
    names = tuple(n.replace("\0", "").encode("utf-8", "replace").decode() for n in ATTACKS if n)
    history(names)
    report = report_with_charts(7, by="user")
    elements = Elements(as_html(report)).names
    assert not {"script", "img", "b", "a"} & set(elements)
    rows = list(csv.reader(io.StringIO(as_csv(report), newline="")))
    assert {len(row) for row in rows} == {4}
    assert not [cell for row in rows for cell in row[:2] if cell.lstrip().startswith(STARTS)]
    shown = {without_guard(row[1]) for row in rows if row[0] == "breakdown_user"}
    assert set(names) <= shown | {name[:128] for name in names}
    assert [r for r in rows if r[2] == "routing_saved" and r[3].startswith("-")]
    for block in as_markdown(report).split("\n\n"):
        table = [line for line in block.splitlines() if line.startswith("|")]
        assert len({len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in table}) <= 1
    out = io.StringIO()
    as_table(report, TerminalConsole(file=out, width=400))
    assert "\x1b" not in out.getvalue()
    assert "[/nothing]" in out.getvalue()


@pytest.mark.parametrize("name", ATTACKS)
def test_statements_show_hostile_names_as_text(name: str) -> None:
    total = {
        "requests": 1, "tokens_in": 1, "tokens_out": 1, "cost": Decimal("-0.5"),
        "baseline_cost": Decimal(1), "saved": Decimal(-1),
    }  # fmt: skip
    row = {"name": name, **total}
    figures = {"by": "user", "month": "2026-11", "baseline": "as recorded", "rows": [row]}
    assert not {"script", "img", "b", "a"} & set(Elements(statement_html(figures)).names)
    rows = list(csv.reader(io.StringIO(statement_csv(figures), newline="")))
    assert {len(row) for row in rows} == {4}
    assert without_guard(rows[1][1]) == name
    assert [row[3] for row in rows if row[2] == "cost"] == ["-0.5"]
    out = io.StringIO()
    statement_table(figures, TerminalConsole(file=out, width=200))
    assert "\x1b" not in out.getvalue()


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.django_db
def test_an_alert_is_mailed_whatever_a_client_calls_itself(name: str, settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    rule = AlertRule.objects.create(name="spend", limit=1, emails="ops@example.org")
    assert target_test(rule, Notice(f"user {name} has spent $2", f"user {name}")) == []
    (message,) = mail.outbox
    assert message.to == ["ops@example.org"]
    assert set(message.message().keys()) >= {"Subject", "To"}
    assert "Bcc" not in message.message()
