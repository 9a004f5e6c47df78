"""Prices of recorded models: an operator's price list, and the public price table."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path

from providers.listed_prices import listed_providers
from providers.listed_prices.types import ModelInfo, TieredPrices


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


def table_prices(models: Iterable[str], at: datetime) -> dict[str, tuple[Decimal, Decimal]]:
    """Return (input, output) prices at ``at`` of the models that the public price table has.

    A model's maker is asked before those who resell it, as the table has it. Prices are USD per
    million tokens, those of short requests.
    """
    providers = listed_providers()
    prices = {}
    for model in models:
        name = model.rpartition("/")[2].lower()
        for provider in providers:
            info = provider.find_model(name, all_providers=providers)
            pair = None if info is None else _listed(info, at)
            if pair is not None:
                prices[model] = pair
                break
    return prices


def _listed(info: ModelInfo, at: datetime) -> tuple[Decimal, Decimal] | None:
    listed = info.get_prices(at, {})
    prompt, answer = (getattr(listed, unit, None) for unit in ("input_mtok", "output_mtok"))
    if prompt is None or answer is None:
        return None
    return _base(prompt), _base(answer)


def _base(price: Decimal | TieredPrices) -> Decimal:
    return price if isinstance(price, Decimal) else price.base
