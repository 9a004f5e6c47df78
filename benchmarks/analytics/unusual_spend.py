"""How often usual spending is called unusual, and how soon a rise is noticed.

    python -m benchmarks.analytics.unusual_spend

The truth is known: the series are made up. False alarms are episodes in a thousand hours; one is
aimed at. A rise is noticed if any hour of the next day is called unusual.
"""

from __future__ import annotations

import platform

import numpy as np
from rich.console import Console
from rich.table import Table

from analytics.alerts.detector import FALSE_ALARMS, WINDOWS, check_amount

WEEK = 168
KINDS = ("lognormal", "power law", "growing by 10 % a week", "office hours")
_SEEDS = 5
_RISES = (1.5, 2.0, 3.0)


def usual(kind: str, weeks: int, seed: int) -> np.ndarray:
    """Spending by hour that holds nothing unusual: with a daily and a weekly course."""
    rng = np.random.default_rng(seed)
    hours = np.arange(weeks * WEEK)
    course = (1 + 0.8 * np.sin(2 * np.pi * hours / 24)) * np.where(hours % WEEK >= 120, 0.3, 1)
    if kind == "lognormal":
        return course * rng.lognormal(0, 0.4, hours.size)
    if kind == "power law":
        return course * (1 + rng.pareto(2.0, hours.size))
    if kind == "growing by 10 % a week":
        return course * rng.lognormal(0, 0.4, hours.size) * 1.1 ** (hours / WEEK)
    assert kind == "office hours"
    open_ = (hours % 24 >= 8) & (hours % 24 < 19) & (hours % WEEK < 120)
    return np.where(open_, course * rng.lognormal(0, 0.5, hours.size), 0.0)


def alarms(spent: np.ndarray, hours: range, windows: tuple[int, ...] = WINDOWS) -> np.ndarray:
    """Which of the hours are called unusual, as the service looks at them hour by hour."""
    raised = np.zeros(len(hours), dtype=bool)
    for width in windows:
        amounts = np.convolve(spent, np.ones(width))[: spent.size]
        table = np.stack([np.roll(amounts, WEEK * back) for back in range(5)], axis=1)
        for place, hour in enumerate(hours):
            past = table[hour - 4 * WEEK : hour]
            past = past[past.any(axis=1)]
            if np.count_nonzero(past[:, 0]) >= 0.75 * len(past):
                check = check_amount(past, table[hour], FALSE_ALARMS / len(windows))
                raised[place] |= check is not None and check.is_unusual
    return raised


def episodes(raised: np.ndarray) -> int:
    """How often alarms began."""
    return int(raised[0]) + int(np.count_nonzero(raised[1:] & ~raised[:-1]))


def main() -> None:
    """Print a table of false alarms and of what is noticed."""
    rises = [f"noticed at {rise:g}x" for rise in _RISES]
    table = Table("spending", "hours", "false alarms in 1,000 hours", "aimed at", *rises)
    hours = range(9 * WEEK, 13 * WEEK)
    for kind in KINDS:
        false = 0
        noticed = dict.fromkeys(_RISES, 0)
        for seed in range(_SEEDS):
            spent = usual(kind, 13, seed)
            false += episodes(alarms(spent, hours))
            start = 11 * WEEK + 24 * (seed % 5)
            for rise in _RISES:
                risen = spent.copy()
                risen[start:] *= rise
                noticed[rise] += bool(alarms(risen, range(start, start + 24)).any())
        watched = len(hours) * _SEEDS
        shares = [f"{noticed[rise]} of {_SEEDS}" for rise in _RISES]
        rate = 1000 * false / watched
        table.add_row(kind, f"{watched:,}", f"{rate:.2f}", f"{1000 * FALSE_ALARMS:g}", *shares)
    console = Console()
    console.print(f"Python {platform.python_version()}, numpy {np.__version__}")
    console.print(table)


if __name__ == "__main__":
    main()
