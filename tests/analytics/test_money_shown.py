"""Amounts as people read them: few digits, and all of them in the title."""

from __future__ import annotations

from decimal import Decimal

import pytest

from analytics.money_shown import rounded_dollars, shown_dollars


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "$0.00"), ("1234.5678", "$1,234.57"), ("0.423", "$0.42"), ("0.0352", "$0.035"),
        ("0.06", "$0.06"), ("0.0999", "$0.10"), ("0.00008249", "$0.000082"),
        ("-0.0042", "-$0.0042"),        ("0.0000000001", "$0.0000000001"), ("1000", "$1,000.00"),
    ],
)  # fmt: skip
def test_amounts_have_cents_or_two_digits_that_say_something(amount: str, text: str) -> None:
    assert rounded_dollars(Decimal(amount)) == text


def test_the_title_has_every_digit_where_some_are_left_out() -> None:
    assert shown_dollars(Decimal("-1234.5678")) == '<span title="-$1,234.5678">-$1,234.57</span>'
    assert shown_dollars(Decimal("0.5000000000")) == "$0.50"
    assert shown_dollars(None) == "unknown"
