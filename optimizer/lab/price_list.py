"""An operator's price list for recorded models that the catalogue does not have."""

from __future__ import annotations

import tomllib
from decimal import Decimal, InvalidOperation
from pathlib import Path


class PriceListError(ValueError):
    """The file is not a price list; the message names it."""


def read_price_list(path: Path | None) -> dict[str, tuple[Decimal, Decimal]]:
    """Return (input, output) prices by model, USD per million tokens; empty without a file.

    TOML: ``"model" = { input = "0.6", output = "0.6" }``. Raises :class:`PriceListError`.
    """
    if path is None:
        return {}
    try:
        prices = {
            model: (Decimal(str(entry["input"])), Decimal(str(entry["output"])))
            for model, entry in tomllib.loads(path.read_text(encoding="utf-8")).items()
        }
    except (OSError, ValueError, KeyError, TypeError, InvalidOperation) as error:
        raise PriceListError(f"{path}: no price list ({type(error).__name__})") from None
    for model, pair in prices.items():
        if any(not price.is_finite() or price < 0 for price in pair):
            raise PriceListError(f"{path}: the price of {model} must be zero or more")
    return prices
