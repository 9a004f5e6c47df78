"""What providers charge beside the tokens of a call: searches, containers and requests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from providers.completion import Usage
from providers.listed_prices.types import ModelInfo, TablePrices
from providers.units import UNIT_PRICES, UnitPrices, is_image_price, unit_prices_of

_ZERO = Decimal(0)
_SEARCHES = ("web_searches", "preview_searches")
_COUNTED = (
    "file_searches", "code_sessions", "map_prompts", "attachment_searches", "search_sources",
)  # fmt: skip
"""Units whose fee is their price times their number, whatever else was used."""
FEE_UNITS = (*_SEARCHES, *_COUNTED, "requests", *UNIT_PRICES)
"""Units of a catalogue's price that are fees, in USD per thousand, and those of
:mod:`providers.units`."""


@dataclass(frozen=True, slots=True)
class Fees:
    """Fees in USD per thousand; ``None`` means that none is known.

    ``requests`` is by Perplexity's size of the search context; "" stands for any other.
    ``preview_searches`` are those of OpenAI's earlier tool, if they cost other than the others.
    ``units`` are the prices of models that are billed by other units than tokens.
    """

    web_searches: Decimal | None = None
    file_searches: Decimal | None = None
    requests: Mapping[str, Decimal] | None = None
    code_sessions: Decimal | None = None
    map_prompts: Decimal | None = None
    preview_searches: Decimal | None = None
    attachment_searches: Decimal | None = None
    search_sources: Decimal | None = None
    units: UnitPrices | None = None

    def cost(self, usage: Usage) -> Decimal:
        """Return the fees of one call in USD."""
        preview = 0 if self.preview_searches is None else usage.preview_searches
        total = (self.web_searches or _ZERO) * (usage.web_searches - preview)
        total += (self.preview_searches or _ZERO) * preview
        for unit in _COUNTED:
            total += (getattr(self, unit) or _ZERO) * getattr(usage, unit)
        if self.requests is not None:
            total += self.requests.get(usage.search_context, self.requests[""])
        total /= 1000
        if usage.units is not None and self.units is not None:
            total += self.units.cost(usage.units)
        return total

    def unknown_for(self, usage: Usage) -> bool:
        """Return whether ``usage`` has searches or containers whose fee is unknown."""
        if usage.web_searches and self.web_searches is None and self.requests is None:
            return True
        # A generator would be one more call for each request.
        for unit in _COUNTED:  # noqa: SIM110
            if getattr(usage, unit) and getattr(self, unit) is None:
                return True
        return False


NO_FEES = Fees()
# For models whose entry in the price table names no fee. Sources:
# https://platform.claude.com/docs/en/about-claude/pricing (web search; web fetch is free),
# https://developers.openai.com/api/docs/pricing (a container of 1 GB for 20 minutes),
# https://docs.x.ai/developers/pricing (a run of code, a search in attached files),
# https://docs.x.ai/docs/guides/live-search (a source, while there was this search),
# https://ai.google.dev/gemini-api/docs/pricing (grounding with Google Maps),
# https://platform.kimi.ai/docs/pricing/tools (a call of $web_search)
_PROVIDER_FEES = {
    "anthropic": Fees(web_searches=Decimal(10)),
    "openai": Fees(
        web_searches=Decimal(10), file_searches=Decimal("2.5"), code_sessions=Decimal(30)
    ),
    "google": Fees(map_prompts=Decimal(14)),
    "moonshotai": Fees(web_searches=Decimal(5)),
    "x-ai": Fees(
        web_searches=Decimal(5),
        file_searches=Decimal("2.5"),
        code_sessions=Decimal(5),
        attachment_searches=Decimal(10),
        search_sources=Decimal(25),
    ),
}
# Models whose fees are others than their provider's usual ones, by the beginning of their name.
_MODEL_FEES = {
    "google": {
        "gemini-1": Fees(map_prompts=Decimal(25)),
        "gemini-2": Fees(map_prompts=Decimal(25)),
    },
    # With the earlier tool, models that do not reason cost more, and what is read costs nothing:
    # https://developers.openai.com/api/docs/pricing
    "openai": {
        "gpt-4o": Fees(preview_searches=Decimal(25)),
        "gpt-4.1": Fees(preview_searches=Decimal(25)),
    },
}
# The table has the fee of the largest context alone: https://docs.perplexity.ai/getting-started/pricing
_BY_CONTEXT = {
    "sonar": ("5", "8", "12"),
    "sonar-pro": ("6", "10", "14"),
    "sonar-reasoning": ("5", "8", "12"),
    "sonar-reasoning-pro": ("6", "10", "14"),
}


def provider_fees(prices_id: str) -> Fees:
    """Return the fees of the price table's provider for models that the table does not know."""
    return _PROVIDER_FEES.get(prices_id, NO_FEES)


def _usual_fees(prices_id: str, model: str) -> Fees:
    """Return the fees of a model of the price table that names none."""
    usual = provider_fees(prices_id)
    for beginning, own in _MODEL_FEES.get(prices_id, {}).items():
        if model.startswith(beginning):
            map_prompts = own.map_prompts or usual.map_prompts
            return replace(usual, map_prompts=map_prompts, preview_searches=own.preview_searches)
    return usual


def listed_fees(prices_id: str, info: ModelInfo, prices: TablePrices) -> Fees:
    """Return the fees of a model of the price table's provider ``prices_id``."""
    usual = _usual_fees(prices_id, info.id)
    web = getattr(prices, "web_searches_kcount", None)
    files = getattr(prices, "storage_searches_kcount", None)
    request = getattr(prices, "requests_kcount", None)
    requests = None
    if request is not None:
        requests = {"": request}
        if prices_id == "perplexity" and info.id in _BY_CONTEXT:
            sizes = zip(("low", "medium", "high"), _BY_CONTEXT[info.id], strict=True)
            requests |= {size: Decimal(fee) for size, fee in sizes}
    fees = replace(
        usual,
        web_searches=usual.web_searches if web is None else web,
        file_searches=usual.file_searches if files is None else files,
        requests=requests,
        units=_listed_units(prices),
    )
    return NO_FEES if fees == NO_FEES else fees


def _listed_units(prices: TablePrices) -> UnitPrices | None:
    """Return the prices of units in the price table: of audio by its length, and of characters."""
    hours = getattr(prices, "input_audio_hours", None)
    hours = getattr(prices, "audio_hours", None) if hours is None else hours
    characters = getattr(prices, "input_mchars", None)
    if hours is None and characters is None:
        return None
    tokens = getattr(prices, "input_mtok", None) is not None
    return UnitPrices(audio_hours=hours, characters=characters, tokens=tokens)


def fees_of(price: Mapping[str, Decimal], usual: Fees = NO_FEES) -> Fees:
    """Return the fees of a price by unit; those that it does not name are the ``usual`` ones."""
    if not any(unit in FEE_UNITS or is_image_price(unit) for unit in price):
        return usual
    own = {unit: price[unit] for unit in (*_SEARCHES, *_COUNTED) if unit in price}
    return replace(
        usual,
        **own,
        requests={"": price["requests"]} if "requests" in price else usual.requests,
        units=unit_prices_of(price) or usual.units,
    )
