"""The options of the levers of effort and tier."""

from __future__ import annotations

from typing import Any

import pytest

from optimizer.gateway.levers.way_options import EffortOptions, FlexOptions, WayOptionError


def test_options_have_defaults_and_take_what_operators_set() -> None:
    assert EffortOptions.of({}) == EffortOptions()
    assert FlexOptions.of({}) == FlexOptions()
    set_here = {"turns": ["title"], "level": "medium", "people": "choose", "named": True}
    assert EffortOptions.of(set_here) == EffortOptions(frozenset({"title"}), "medium", True, True)
    assert FlexOptions.of({"named": False, "least_seconds": 5}) == FlexOptions(False, 5.0)


@pytest.mark.parametrize(
    ("kind", "options", "about"),
    [
        (EffortOptions, {"turns": "title"}, "turns"),
        (EffortOptions, {"turns": ["lunch"]}, "turns"),
        (EffortOptions, {"level": "none"}, "level"),
        (EffortOptions, {"people": "never"}, "people"),
        (EffortOptions, {"named": "yes"}, "named"),
        (EffortOptions, {"efort": 1}, "efort: there is no such option"),
        (FlexOptions, {"least_seconds": "60"}, "least_seconds"),
        (FlexOptions, {"least_seconds": 0}, "least_seconds"),
        (FlexOptions, {"named": 1}, "named"),
    ],
)
def test_a_wrong_option_is_named(kind: Any, options: dict[str, Any], about: str) -> None:
    with pytest.raises(WayOptionError, match=about):
        kind.of(options)
