"""python -m benchmarks.levers: whether levers' intervals hold the truth, and harm is stopped.

    python -m benchmarks.levers savings --logs 1000
    python -m benchmarks.levers harm --runs 1000

Logs are simulated whose truth is known: what each request costs with the lever and without it.
"""

from __future__ import annotations

import argparse
import platform

import numpy as np

from benchmarks.levers import harm, savings


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.levers", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument(
        "what", choices=("savings", "quality", "harm"), nargs="?", default="savings"
    )
    parser.add_argument("--logs", type=int, default=1000, help="simulated of each (%(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", metavar="TEXT", help="rows whose name has it")
    options = parser.parse_args()
    print(f"Python {platform.python_version()}, numpy {np.__version__}, {options.logs} of each")
    run = {"savings": savings.rows, "quality": harm.quality_rows, "harm": harm.rows}[options.what]
    run(options.logs, options.seed, options.only)


if __name__ == "__main__":
    main()
