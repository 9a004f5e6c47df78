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


def lines_of(*costs: str, decimal: str = "", calls: str = "1") -> list[Decimal | None]:
    body = "".join(csv_of(cost=cost, calls=calls).split("\n", 1)[1] for cost in costs)
    lines = read_file("Day,Model,Cost,Calls\n" + body, "any", COLUMNS, decimal=decimal)
    return [line.amount for line in lines]


@pytest.mark.parametrize(
    ("cost", "amount"),
    [("1,234.50", "1234.50"), ("$1,234,567", "1234567"), ("-1,234.5", "-1234.5"), ("0.05", "0.05"),
     ("0,05", "0.05"), ("1.234,50", "1234.50"), ("12,34", "12.34"), ("1,2345", "1.2345"),
     ("0,050", "0.050"), ("1.234.567", "1234567"), ("1e-05", "0.00001"), ("-$3.25", "-3.25"),
     (".5", "0.5"), ("1234.567", "1234.567"), ("1234,567", "1234.567")],
)  # fmt: skip
def test_a_number_of_one_meaning_is_read(cost: str, amount: str) -> None:
    assert lines_of(cost) == [Decimal(amount)]


@pytest.mark.parametrize("cost", ["1,234", "1.234", "12,345", "-999.000"])
def test_a_number_of_two_meanings_alone_is_refused(cost: str) -> None:
    with pytest.raises(StatementError, match="Line 2: .* has two meanings.*--decimal"):
        lines_of(cost)


@pytest.mark.parametrize(
    "cost", ["1,234,5", "1,23,456", "1.23,4.5", "1 234,50", "--1", "1,234.5.6"]
)
def test_what_is_no_number_in_either_way_is_refused(cost: str) -> None:
    with pytest.raises(StatementError, match="Line 2: .* is no amount"):
        lines_of(cost)


def test_other_numbers_of_the_file_decide() -> None:
    assert lines_of("1,234", "0.5") == [Decimal(1234), Decimal("0.5")]
    assert lines_of("1,234", "0,5") == [Decimal("1.234"), Decimal("0.5")]
    assert lines_of("1.234", "0,5") == [Decimal(1234), Decimal("0.5")]
    # A count is whole, so that its comma groups thousands; but "1,000" may be one.
    assert lines_of("1,234", calls="2,345") == [Decimal(1234)]
    with pytest.raises(StatementError, match="two meanings"):
        lines_of("1,234", calls="1,000")


def test_the_user_decides() -> None:
    assert lines_of("1,234", decimal=".") == [Decimal(1234)]
    assert lines_of("1,234", decimal=",") == [Decimal("1.234")]
    with pytest.raises(StatementError, match="Line 3: '0,05' is no amount"):
        lines_of("1,234", "0,05", decimal=".")


def test_two_ways_of_writing_in_one_file_are_refused() -> None:
    with pytest.raises(StatementError, match=r"Line 2 has .*'0\.5'.* line 3 has|line 3 a"):
        lines_of("0.5", "0,5")


@given(
    st.lists(st.decimals(-(10**9), 10**9, places=2), min_size=1, max_size=9),
    st.sampled_from((",", ".")), st.booleans(),
)  # fmt: skip
def test_what_is_written_in_one_way_is_read_exactly(
    amounts: list[Decimal], mark: str, grouped: bool
) -> None:
    written = [f"{amount:,.2f}" if grouped else f"{amount:.2f}" for amount in amounts]
    if mark == ",":
        written = [text.translate(str.maketrans(",.", ".,")) for text in written]
    assert lines_of(*written) == amounts


@given(st.lists(st.sampled_from(["1,234", "7,891.5", "0,5", "3", "12.25", "1.234"]), min_size=1))
def test_no_number_has_another_value_than_its_file_allows(costs: list[str]) -> None:
    try:
        amounts = lines_of(*costs)
    except StatementError:
        return
    for mark in ".,":
        try:
            assert lines_of(*costs, decimal=mark) == amounts
        except StatementError:
            continue


def test_days_with_slashes_are_decided_by_the_file_too() -> None:
    def days(*texts: str) -> list[str]:
        body = "".join(csv_of(day=text).split("\n", 1)[1] for text in texts)
        lines = read_file("Day,Model,Cost,Calls\n" + body, "any", COLUMNS)
        return [line.day.isoformat() for line in lines]

    assert days("05/11/2026", "05/13/2026") == ["2026-05-11", "2026-05-13"]
    assert days("05/11/2026", "13/11/2026") == ["2026-11-05", "2026-11-13"]
    assert days("05/05/2026") == ["2026-05-05"]
    with pytest.raises(StatementError, match="Line 2: '05/11/2026' has two meanings"):
        days("05/11/2026")
    with pytest.raises(StatementError, match="Line 3: '13/11/2026' is written unlike"):
        days("05/13/2026", "13/11/2026")


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
