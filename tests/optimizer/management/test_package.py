"""The service as an installed package: its files lie in no project's folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

PACKAGES = ("analytics", "optimizer", "providers", "routing")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with the packages alone, as pip installs them."""
    site = tmp_path / "site-packages"
    for package in PACKAGES:
        shutil.copytree(
            Path(settings.BASE_DIR, package), site / package,
            ignore=shutil.ignore_patterns("__pycache__"),
        )  # fmt: skip
    return site


@pytest.mark.parametrize("started_in", ["one", "another"])
@pytest.mark.parametrize("shared", ["", "share"])
def test_data_lie_in_one_place_wherever_it_is_started(
    site: Path, tmp_path: Path, started_in: str, shared: str
) -> None:
    (folder := tmp_path / started_in).mkdir()
    known = {"PATH", "LANG", "SYSTEMROOT"}
    environment = {name: value for name, value in os.environ.items() if name in known}
    script = "from django.conf import settings; print(settings.DATA_DIR, settings.PORT)"
    home = tmp_path / "home"
    data = tmp_path / shared if shared else home / ".local" / "share"
    own = data / "ai-cost-optimizer"
    own.mkdir(parents=True)
    (own / ".env").write_text("PORT=8123\n")
    ran = subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        env={
            **environment, "PYTHONPATH": str(site), "HOME": str(home),
            "XDG_DATA_HOME": str(data) if shared else "",
            "DJANGO_SETTINGS_MODULE": "optimizer.settings",
        },
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert ran.stdout.split() == [str(own / "data"), "8123"]
