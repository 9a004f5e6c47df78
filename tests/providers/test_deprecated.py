"""Names that moved are still importable for a release, and say where they went."""

from __future__ import annotations

import importlib
import sys

import pytest

from providers.completion import Usage


def test_the_old_home_of_usage_names_the_new_one() -> None:
    sys.modules.pop("providers.base", None)
    with pytest.warns(DeprecationWarning, match=r"providers\.completion"):
        old = importlib.import_module("providers.base")
    assert old.Usage is Usage
