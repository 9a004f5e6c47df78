"""A model's rates at one time, by kind of tokens, and the most that a call may cost at them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

from providers.completion import Usage
from providers.fees import NO_FEES, Fees

_ZERO = Decimal(0)
MILLION = Decimal(1_000_000)
PLACES = Decimal("0.0000000001")
"""The places to which money is kept."""
TOKEN_UNITS = ("input", "output", "cache_read", "cache_write", "cache_write_1h")
MEDIA_UNITS = (
    "input_audio", "output_audio", "cache_audio_read", "input_image", "output_image",
    "cache_image_read", "input_video", "output_video", "output_reasoning",
)  # fmt: skip
"""Tokens that are not text, or not of the answer, where they have a price of their own."""
Tiers = tuple[tuple[int, Decimal], ...]


@dataclass(frozen=True, slots=True)
class Rate:
    """A price in USD per million tokens: ``base``, or that of the highest tier exceeded.

    A tier applies to *all* tokens of a call whose input is larger than the tier's start, as
    providers with tiers bill, or to the tokens beyond it alone, if it is ``of_excess``.
    """

    base: Decimal
    tiers: Tiers = ()
    of_excess: bool = False

    def at(self, input_tokens: int) -> Decimal:
        """Return the price for a call with so many input tokens."""
        for start, price in reversed(self.tiers):
            if input_tokens > start:
                return price
        return self.base

    def charge(self, tokens: int, input_tokens: int) -> Decimal:
        """Return the price of ``tokens`` in a call with so many input tokens, times a million."""
        if not self.of_excess:
            return self.at(input_tokens) * tokens
        total, price, begin = _ZERO, self.base, 0
        for start, next_price in self.tiers:
            if tokens <= start:
                break
            total += price * (start - begin)
            price, begin = next_price, start
        return total + price * (tokens - begin)

    def times(self, factor: Decimal) -> Rate:
        """Return this price times ``factor``."""
        tiers = tuple((start, price * factor) for start, price in self.tiers)
        return Rate(self.base * factor, tiers, self.of_excess)

    def most(self, input_tokens: int) -> Decimal:
        """Return the highest price for any input of at most so many tokens."""
        if self.of_excess:
            return max([self.base, *(price for _, price in self.tiers)])
        exceeded = [price for start, price in self.tiers if input_tokens > start]
        return max([self.base, *exceeded])


@dataclass(frozen=True, slots=True)
class Rates:
    """A model's rates at one time; a missing rate for a kind of tokens is the general one.

    ``media`` are the rates of audio, images, video and reasoning by unit (``MEDIA_UNITS``).
    """

    input: Rate
    output: Rate
    cache_read: Rate | None = None
    cache_write: Rate | None = None
    cache_write_1h: Rate | None = None
    media: Mapping[str, Rate] | None = None
    fees: Fees = NO_FEES

    def more_for_media(
        self, media: Mapping[str, Rate], usage: Usage, uncached: int, written: int
    ) -> Decimal:
        """Return what ``media`` cost more than text, in millionths of a USD.

        Of the input, ``uncached`` tokens are not read from the cache; ``written`` are output.
        """
        size, total = usage.input_tokens, _ZERO
        usual_read = self.cache_read or self.input
        # Tokens that are both, as a report may say by mistake, are counted once.
        for unit, tokens in (
            ("input_audio", usage.audio_input_tokens - usage.audio_read_tokens),
            ("input_image", usage.image_input_tokens - usage.image_read_tokens),
            ("input_video", usage.video_input_tokens),
        ):
            tokens = min(tokens, uncached)
            if tokens > 0 and unit in media:
                total += (media[unit].at(size) - self.input.at(size)) * tokens
                uncached -= tokens
        for unit, uncached_unit, tokens in (
            ("cache_audio_read", "input_audio", usage.audio_read_tokens),
            ("cache_image_read", "input_image", usage.image_read_tokens),
        ):
            if self.cache_read is None and unit not in media:
                unit = uncached_unit  # this model's cached tokens cost as much as others
            if tokens and unit in media:
                total += (media[unit].at(size) - usual_read.at(size)) * tokens
        for unit, tokens in (
            ("output_audio", usage.audio_output_tokens),
            ("output_image", usage.image_output_tokens),
            ("output_video", usage.video_output_tokens),
            ("output_reasoning", usage.reasoning_tokens),
        ):
            tokens = min(tokens, written)
            if tokens and unit in media:
                total += (media[unit].at(size) - self.output.at(size)) * tokens
                written -= tokens
        return total

    def most(self, input_tokens: int, output_tokens: int) -> Decimal:
        """Return the most that the tokens of a call, at most so many, can cost, in USD.

        It holds however the tokens are billed, and is rounded up to ten decimal places. It
        includes the fee of the request, but no searches, whose number nothing limits.
        """
        others = [self.cache_write, self.cache_write_1h, self.cache_read]
        media = self.media or {}
        others += [rate for unit, rate in media.items() if not unit.startswith("output")]
        inputs = [self.input, *(rate for rate in others if rate is not None)]
        outputs = [self.output, *(rate for u, rate in media.items() if u.startswith("output"))]
        total = max(rate.most(input_tokens) for rate in inputs) * input_tokens
        total += max(rate.most(input_tokens) for rate in outputs) * output_tokens
        if self.fees.requests is not None:
            total += max(self.fees.requests.values()) * 1000
        return (total / MILLION).quantize(PLACES, rounding=ROUND_CEILING)

    def by_unit(self) -> dict[str, Rate]:
        """Return the rates that there are, by unit."""
        rates = {unit: rate for unit in TOKEN_UNITS if (rate := getattr(self, unit)) is not None}
        return rates | dict(self.media or {})

    def with_units(self, rates: Mapping[str, Rate]) -> Rates:
        """Return these rates with those of ``rates`` instead."""
        if not rates:
            return self
        return rates_by_unit({**self.by_unit(), **rates}, self.fees)

    def times(self, factor: Decimal) -> Rates:
        """Return these rates times ``factor``; fees stay as they are."""
        return self.with_units({unit: rate.times(factor) for unit, rate in self.by_unit().items()})


def rates_by_unit(rates: Mapping[str, Rate], fees: Fees = NO_FEES) -> Rates:
    """Return the rates of units; ``input`` is required, and output costs nothing without one."""
    media = {unit: rate for unit, rate in rates.items() if unit in MEDIA_UNITS}
    return Rates(
        input=rates["input"],
        output=rates.get("output", Rate(_ZERO)),
        cache_read=rates.get("cache_read"),
        cache_write=rates.get("cache_write"),
        cache_write_1h=rates.get("cache_write_1h"),
        media=media or None,
        fees=fees,
    )


def rates_of(price: Mapping[str, Decimal]) -> Rates:
    """Return rates without tiers from ``price``, in USD per million tokens by unit.

    Units that are fees are left out: see :func:`providers.fees.fees_of`. Tokens cost nothing if
    other units alone are billed.
    """
    units = (*TOKEN_UNITS, *MEDIA_UNITS)
    rates = {unit: Rate(price[unit]) for unit in units if unit in price}
    return rates_by_unit({"input": Rate(_ZERO), **rates})
