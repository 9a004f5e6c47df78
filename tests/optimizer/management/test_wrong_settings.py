"""A wrong setting is said in one line that names it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("name", "value"),
    [("BASELINE_MODEL", "nope"), ("GUARANTEE_REFERENCE", "nope"), ("EXPLORATION_RATE", "often"),
     ("PORT", "http")],
)  # fmt: skip
def test_a_command_says_which_setting_is_wrong_and_nothing_else(
    tmp_path: Path, name: str, value: str
) -> None:
    known = {k: v for k, v in os.environ.items() if k not in {"DATABASE_URL", "CACHE_URL"}}
    done = subprocess.run(
        [sys.executable, "manage.py", "routing_report"], cwd=ROOT, capture_output=True, text=True,
        check=False, env={**known, "DATA_DIR": str(tmp_path), "ENV_FILE": os.devnull, name: value,
                          "DJANGO_SETTINGS_MODULE": "optimizer.settings"},
    )  # fmt: skip
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith(f"Wrong setting: {name}")
    assert value in line
