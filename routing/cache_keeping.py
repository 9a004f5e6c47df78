"""Whether it pays to keep a conversation in a provider's prompt cache until its next turn.

Each reading keeps the cache for another lifetime. With ``N(x)`` the number of past gaps between
turns that were longer than ``x``, a session that has waited for ``e`` seconds gains by ``j``
readings, each a ``period`` after the last one:

    sum over i < j of  saving * (N(e_i) - N(e_i + period)) / N(e)  -  price * N(e_i) / N(e)
    with e_i = e + i * period

``saving`` is what the next turn pays less if it finds the cache, ``price`` what a reading costs.
A cache that is written for an hour from the start gains

    saving * (N(lifetime) - N(hour)) / N(0)  -  premium
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from decimal import Decimal

from routing.models import ModelOption

LIFETIME = 300.0
"""Seconds after its last use for which Anthropic keeps a cache; a reading is a use, at no charge
beyond its price. https://platform.claude.com/docs/en/build-with-claude/prompt-caching"""
HOUR = 3600.0
PERIOD = 270.0
"""Seconds between two readings: the lifetime less what a call may take."""
WRITE, WRITE_HOUR, READ = 1.25, 2.0, 0.1
"""Anthropic's prices of the cache as shares of the price of input (same source)."""
_MOST_READINGS = int(HOUR // PERIOD)
_LEAST_GAPS = 30


class Gaps:
    """Past gaps between a session's turns, in seconds; of those that ``ended``, none followed."""

    def __init__(self, seconds: Sequence[float] = (), ended: int = 0) -> None:
        self._seconds = sorted(seconds)
        self._ended = ended

    def longer(self, seconds: float) -> int:
        """Return how many gaps were longer, the ended ones included."""
        return len(self._seconds) - bisect_right(self._seconds, seconds) + self._ended

    @property
    def known(self) -> bool:
        """Return whether there are enough of them to expect anything."""
        return len(self._seconds) + self._ended >= _LEAST_GAPS


def keeping_gain(gaps: Gaps, waited: float, saving: float, price: float) -> float:
    """Return what the best number of readings gains from now on; zero if none pays.

    The session has ``waited`` so many seconds. ``saving`` and ``price`` have the same unit.
    """
    waiting = gaps.longer(waited)
    if not waiting or not gaps.known:
        return 0.0
    best = total = 0.0
    for reading in range(_MOST_READINGS):
        at = waited + reading * PERIOD
        if at > HOUR:
            break
        still = gaps.longer(at)
        total += (saving * (still - gaps.longer(at + PERIOD)) - price * still) / waiting
        best = max(best, total)
    return best


def leaving_cost(option: ModelOption, cached: int, turns: float) -> Decimal:
    """Return the USD lost by asking a model in a way that does not find ``cached`` tokens.

    They are written anew now and, if more ``turns`` follow as before, once more on the way back.
    Another effort or service tier is such a way:

    - Anthropic: https://platform.claude.com/docs/en/build-with-claude/effort-per-message (a
      change of the request's own effort ends the match of the cached prefix), and of ``thinking``
      that of the messages: https://platform.claude.com/docs/en/build-with-claude/prompt-caching
    - OpenAI: https://developers.openai.com/api/docs/guides/prompt-caching/diagnostics (the same
      model, tier and tools), https://github.com/openai/codex/issues/35416 (effort)

    Where a price is unknown, so is the loss, and it counts as nothing.
    """
    written, read = option.turn_cost(0, cached, 0), option.turn_cost(cached, 0, 0)
    if written is None or read is None:
        return Decimal(0)
    again = Decimal(str(round(min(1.0, turns), 3)))
    return max(Decimal(0), written - read) * (1 + again)


def hour_pays(gaps: Gaps, written: float) -> bool:
    """Return whether marks for an hour gain more than readings, and more than nothing.

    ``written`` is the share of the input tokens that a turn writes to the cache. All is counted
    in prices of an input token.
    """
    turns = gaps.longer(-1)
    if not gaps.known:
        return False
    saving = WRITE - READ
    hour = saving * (gaps.longer(LIFETIME) - gaps.longer(HOUR)) / turns
    hour -= (WRITE_HOUR - WRITE) * written
    kept = keeping_gain(gaps, PERIOD, saving, READ) * gaps.longer(PERIOD) / turns
    return hour > max(kept, 0.0)
