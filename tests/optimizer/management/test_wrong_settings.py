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


@pytest.mark.parametrize("command", [("serve", "--port", "0"), ("routing_report",)])
def test_a_socks_proxy_is_refused_at_the_start(tmp_path: Path, command: tuple[str, ...]) -> None:
    proxies = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
    left_out = {"DATABASE_URL", "CACHE_URL", *proxies, *map(str.lower, proxies)}
    known = {k: v for k, v in os.environ.items() if k not in left_out}
    done = subprocess.run(
        [sys.executable, "manage.py", *command], cwd=ROOT, capture_output=True, text=True,
        check=False, timeout=60,
        env={**known, "DATA_DIR": str(tmp_path), "ENV_FILE": os.devnull,
             "DJANGO_SETTINGS_MODULE": "optimizer.settings",
             "HTTPS_PROXY": "socks5://ann:secret@proxy:1080"},
    )  # fmt: skip
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("Wrong setting: HTTPS_PROXY names a SOCKS proxy")
    assert "secret" not in line
