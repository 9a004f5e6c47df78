"""The price table is compared with what providers reported."""

from __future__ import annotations

import json
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from analytics.reports.price_check import prices_check
from tests.factories import RequestRecordFactory

D = Decimal
pytestmark = pytest.mark.django_db


def reported(cost: str, listed: str | None, **fields: object) -> None:
    RequestRecordFactory(
        provider="openrouter", model="m", price_basis="reported", cost=D(cost),
        list_cost=None if listed is None else D(listed), **fields,
    )  # fmt: skip


def run(*options: str) -> str:
    out = StringIO()
    call_command("prices", "check", *options, stdout=out)
    return out.getvalue()


def test_reported_costs_are_compared_with_the_table_without_failed_calls() -> None:
    reported("0.30", "0.10", failed_cost=D("0.20"))
    reported("0.10", "0.12")
    RequestRecordFactory(provider="openai", model="o", price_basis="table", cost=D(5))
    RequestRecordFactory(provider="x", model="y", price_basis="unknown", cost=None)
    first, second = prices_check(30)
    assert (first.compared, first.reported, first.listed) == (2, D("0.2"), D("0.22"))
    assert (first.percent, first.differs(D(9)), first.differs(D(10))) == (10.0, True, False)
    assert (second.provider, second.unknown, second.compared) == ("x", 1, 0)


def test_the_command_fails_if_a_price_differs() -> None:
    reported("0.10", "0.12")
    with pytest.raises(CommandError, match="openrouter/m"):
        run()
    assert "openrouter/m" in run("--tolerance", "25")
    (row,) = json.loads(run("--tolerance", "25", "--format", "json"))
    assert (row["difference_percent"], row["differs"]) == (20.0, False)


def test_reported_costs_without_a_price_in_the_table_are_counted() -> None:
    reported("0.10", None)
    (check,) = prices_check(30)
    assert (check.compared, check.unlisted) == (0, 1)
    assert "openrouter/m" in run()


def test_nothing_reported_is_no_difference() -> None:
    assert "No provider reported a cost" in run()


@pytest.mark.django_db
@pytest.mark.parametrize(
    "option", ["--tolerance=nan", "--tolerance=-1", "--days=0", "--days=99999999999"]
)
def test_options_that_mean_nothing_are_refused(option: str) -> None:
    with pytest.raises(CommandError, match="--(tolerance|days) must be"):
        call_command("prices", "check", option, stdout=StringIO())


def test_a_tier_without_a_price_of_its_own_is_named() -> None:
    def shown(*options: str) -> str:
        out = StringIO()
        call_command("prices", "show", "claude/claude-haiku-5-5", *options, stdout=out)
        return " ".join(out.getvalue().split())

    assert "No other price is known for silly" in shown("--tier", "silly")
    assert "No other price" not in shown("--tier", "batch")
    assert "No other price" not in shown()
