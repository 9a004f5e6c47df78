"""python -m benchmarks.coverage: how often the intervals of reports hold the truth.

Logs are simulated whose truth is known: requests that come alone, in sessions, from a few busy
users, on days that differ. An interval with 95 % confidence should hold the truth in 95 % of
logs, or be refused where the log cannot say.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Callable
from math import sqrt

import numpy as np

from benchmarks.coverage import policies, savings, verdicts

SIZES = (300, 3000)
ROWS: dict[str, Callable[[int, np.random.Generator], bool | None]] = {
    **savings.ROWS, **policies.ROWS, **verdicts.ROWS,
}  # fmt: skip
_Z = 1.96


def coverage(name: str, n: int, logs: int, seed: int) -> tuple[float, float]:
    """Return the share of intervals that hold the truth, and the share of logs without one."""
    rng = np.random.default_rng(seed)
    found = [ROWS[name](n, rng) for _ in range(logs)]
    given = [one for one in found if one is not None]
    return (float(np.mean(given)) if given else float("nan")), 1 - len(given) / logs


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.coverage", description=__doc__)
    parser.add_argument("--logs", type=int, default=1000, help="simulated of each (%(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", metavar="TEXT", help="rows whose name has it")
    options = parser.parse_args()
    print(f"Python {platform.python_version()}, numpy {np.__version__}, {options.logs} logs each")
    print(f"{'traffic':46s} {'requests':>8s} {'held the truth, in %':>22s} {'refused':>9s}")
    for name in (name for name in ROWS if options.only in name):
        for n in SIZES:
            share, refused = coverage(name, n, options.logs, options.seed)
            given = max(options.logs * (1 - refused), 1)
            error = _Z * sqrt(share * (1 - share) / given)
            text = "refused" if refused > 0.9 else f"{share:.1%} ± {error:.1%}"
            print(f"{name:46s} {n:8d} {text:>22s} {refused:9.1%}", flush=True)


if __name__ == "__main__":
    main()
