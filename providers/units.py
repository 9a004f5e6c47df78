"""What a call is billed by that is no token: images, audio by its length, characters, searches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from providers.values import frozen

UNIT_PRICES = ("images", "audio_hours", "characters", "search_units")
"""Units of a catalogue's price: USD per thousand images, per hour of audio, per million
characters, and per thousand search units. ``images/QUALITY SIZE``, ``images/QUALITY`` and
``images/SIZE`` are the prices of images of that quality and size."""
IMAGES_OF = "images/"
_HOUR, _MILLION, _THOUSAND = Decimal(3600), Decimal(1_000_000), Decimal(1_000)
_ZERO = Decimal(0)


@frozen
class Units:
    """What one call used beside tokens.

    ``image_variant`` is the quality and the size of the images, such as "high 1024x1024".
    ``audio_seconds`` is the length of the audio that was sent, ``characters`` that of the text
    that was spoken, and ``search_units`` is how a provider counts what was ranked.
    ``estimated`` marks units that the provider did not report and the request does not say.
    """

    images: int = 0
    image_variant: str = ""
    audio_seconds: Decimal = _ZERO
    characters: int = 0
    search_units: int = 0
    estimated: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return the units that were used, as the ledger stores them."""
        units: dict[str, Any] = {
            "images": self.images,
            "image_variant": self.image_variant,
            "audio_seconds": float(self.audio_seconds),
            "characters": self.characters,
            "search_units": self.search_units,
        }
        return {name: value for name, value in units.items() if value}


@dataclass(frozen=True, slots=True)
class UnitPrices:
    """Prices of units in USD, ``None`` for each that has none.

    ``images`` are per thousand, by variant; "" stands for any other. ``tokens`` is whether the
    model's tokens have a price, too.
    """

    images: Mapping[str, Decimal] | None = None
    audio_hours: Decimal | None = None
    characters: Decimal | None = None
    search_units: Decimal | None = None
    tokens: bool = False

    def cost(self, units: Units) -> Decimal:
        """Return what ``units`` cost in USD; those without a price cost nothing here."""
        total = (self._of_images(units.image_variant) or _ZERO) * units.images / _THOUSAND
        total += (self.audio_hours or _ZERO) * units.audio_seconds / _HOUR
        total += (self.characters or _ZERO) * units.characters / _MILLION
        return total + (self.search_units or _ZERO) * units.search_units / _THOUSAND

    def knows(self, units: Units) -> bool:
        """Return whether any of ``units`` has a price."""
        return bool(
            (units.images and self._of_images(units.image_variant) is not None)
            or (units.audio_seconds and self.audio_hours is not None)
            or (units.characters and self.characters is not None)
            or (units.search_units and self.search_units is not None)
        )

    def in_words(self) -> list[str]:
        """Return the prices as people read them, such as "$0.36 per hour of audio"."""
        words = [
            f"${price.normalize():f} per {unit}"
            for price, unit in (
                (self.audio_hours, "hour of audio"),
                (self.characters, "million characters"),
                (self.search_units, "thousand search units"),
            )
            if price is not None
        ]
        for variant, price in (self.images or {}).items():
            of = f" ({variant})" if variant else ""
            words.append(f"${(price / _THOUSAND).normalize():f} per image{of}")
        return words

    def _of_images(self, variant: str) -> Decimal | None:
        if self.images is None:
            return None
        quality, _, size = variant.partition(" ")
        for name in (variant, quality, size, ""):
            if name in self.images:
                return self.images[name]
        return None


def unit_prices_of(price: Mapping[str, Decimal]) -> UnitPrices | None:
    """Return the prices of units in a price by unit, ``None`` if it has none."""
    images = {
        "" if name == "images" else name.removeprefix(IMAGES_OF): amount
        for name, amount in price.items()
        if is_image_price(name)
    }
    rest = {name: price[name] for name in UNIT_PRICES[1:] if name in price}
    if not images and not rest:
        return None
    return UnitPrices(images or None, tokens="input" in price, **rest)


def is_image_price(name: str) -> bool:
    """Return whether this unit of a price is one of images."""
    return name == "images" or name.startswith(IMAGES_OF)
