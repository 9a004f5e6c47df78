"""Statements in files: what cannot be a bill is refused with its line, whatever the file has."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.statements.files import read_file
from providers.statements.lines import StatementError

COLUMNS = {"day": "Day", "model": "Model", "amount": "Cost", "requests": "Calls"}


def csv_of(day: str = "2026-11-05", model: str = "m", cost: str = "1", calls: str = "1") -> str:
    def quoted(text: str) -> str:
        return '"' + text.replace('"', '""') + '"'

    return "Day,Model,Cost,Calls\n" + ",".join(map(quoted, (day, model, cost, calls))) + "\n"


@pytest.mark.parametrize("cost", ["1e400", "1e18", "NaN", "Infinity", "ten"])
def test_an_amount_that_no_bill_has_is_refused(cost: str) -> None:
    with pytest.raises(StatementError, match="Line 2: .* is no amount"):
        read_file(csv_of(cost=cost), "any", COLUMNS)


@pytest.mark.parametrize("cost", ["0,05", "1.234,50", "12,34", "1,2345", "1,234,5", "0,050"])
def test_a_comma_that_separates_no_thousands_is_not_left_out(cost: str) -> None:
    with pytest.raises(StatementError, match="Write it with a point"):
        read_file(csv_of(cost=cost), "any", COLUMNS)


@pytest.mark.parametrize(
    ("cost", "amount"),
    [("1,234.50", "1234.50"), ("$1,234,567", "1234567"), ("-1,234.5", "-1234.5"), ("0.05", "0.05")],
)
def test_thousands_may_have_commas(cost: str, amount: str) -> None:
    (line,) = read_file(csv_of(cost=cost), "any", COLUMNS)
    assert line.amount == Decimal(amount)


@pytest.mark.parametrize("calls", ["-1", "1.5", "1e30"])
def test_a_count_is_a_whole_number_that_the_ledger_can_hold(calls: str) -> None:
    with pytest.raises(StatementError, match="Line 2: .* is no"):
        read_file(csv_of(calls=calls), "any", COLUMNS)


def test_the_last_day_of_the_calendar_is_refused() -> None:
    with pytest.raises(StatementError, match="Line 2: '9999-12-31' is no day"):
        read_file(csv_of(day="9999-12-31"), "any", COLUMNS)


def test_a_csv_file_without_its_columns_says_how_to_name_them() -> None:
    with pytest.raises(StatementError, match="--columns"):
        read_file(csv_of(), "openai")


@given(day=st.text(), model=st.text(), cost=st.text(), calls=st.text())
def test_any_text_is_read_or_refused(day: str, model: str, cost: str, calls: str) -> None:
    try:
        lines = read_file(csv_of(day, model, cost, calls), "any", COLUMNS)
    except StatementError:
        return
    for line in lines:
        assert line.amount is None or abs(line.amount) < Decimal("1e12")
        assert line.requests is None or 0 <= line.requests < 2**63
