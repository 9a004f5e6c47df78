"""The most that one call may cost, by what bounds it and by who is called."""

from __future__ import annotations

from decimal import Decimal

from providers.cost_bounds import CostBound
from providers.pricing import PriceBook
from providers.token_bounds import LARGEST_IMAGE, largest_image

_MOST_ADVICE_TOKENS = 128_000
# These refuse what is no image:
# https://platform.openai.com/docs/guides/images-vision,
# https://docs.claude.com/en/docs/build-with-claude/vision
_CHECK_IMAGES = frozenset({"openai", "claude"})


def reads_whatever_is_there(provider: str) -> bool:
    """Return whether the provider reads what is behind an image's address though it is none."""
    return provider not in _CHECK_IMAGES


def most_cost(
    prices: PriceBook, provider: str, model: str, input_tokens: int, bound: CostBound,
    service_tier: str = "",
) -> Decimal | None:  # fmt: skip
    """Return the most that a call of at most so many known tokens may cost, in USD.

    ``service_tier`` serves what asks for no other tier or speed. ``None``: the price is unknown.
    """
    tokens, served, window = input_tokens, bound.served, bound.window
    fetches = bound.fetched and reads_whatever_is_there(provider)
    if bound.unknown or bound.advisors or fetches:
        window = max(prices.context_window(provider, model), window)
    if bound.unknown or fetches:
        tokens = max(tokens, window)
    tokens += bound.images * (largest_image(model) - LARGEST_IMAGE)  # beyond the window too
    most = prices.most(
        provider, model, tokens, bound.output_tokens, service_tier, units=bound.units
    )
    if most is None:
        return None
    total = most * bound.rates + bound.fees
    if any(served[:2]) or (any(served) and not service_tier):
        exact = prices.most(provider, model, tokens, bound.output_tokens, *served)
        total = max(total, (exact or most) + bound.fees)
    for advisor in bound.advisors:
        advice = prices.most(provider, advisor, window, _MOST_ADVICE_TOKENS)
        if advice is None:
            return None
        total += advice * bound.rates
    return total
