"""How the values that operators set while the service runs are read."""

from __future__ import annotations

from decimal import Decimal

import pytest

from optimizer.wiring.operation.settings import RUNTIME_SETTINGS


@pytest.mark.parametrize(
    ("text", "amount"),
    [("2.50", "2.50"), ("1E-999999999", "0"), ("0.123456789012345", "0.1234567890")],
)
def test_an_amount_has_no_more_places_than_money(text: str, amount: str) -> None:
    value = RUNTIME_SETTINGS["judge_daily_budget"].read(text)

    assert value == Decimal(amount)
    assert len(f"{value:f}") < 20


@pytest.mark.parametrize("text", ["nan", "inf", "-1", "1E+999999999", "x", ""])
def test_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="amount of USD"):
        RUNTIME_SETTINGS["judge_daily_budget"].read(text)
