"""Whether the options of a lever exist and have usable values, before an operator's are saved."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from optimizer.gateway.deferred.options import LaneOptions
from optimizer.gateway.levers.cascade.options import CascadeOptions
from optimizer.gateway.levers.compression.lever import LARGEST_MIN, LEAST_MIN
from optimizer.gateway.levers.way_options import EffortOptions, FlexOptions


def lever_options_check(lever: str, options: Mapping[str, Any]) -> None:
    """Raise :class:`ValueError` if ``lever`` could not use ``options``.

    The message begins with the name of the wrong option. While requests are answered, levers only
    log what they cannot read; here somebody is there to correct it.
    """
    _CHECKS.get(lever, _none)(options)


def _none(options: Mapping[str, Any]) -> None:
    for name in options:
        raise ValueError(f"{name}: this lever has no options")


def _batch(options: Mapping[str, Any]) -> None:
    known = [field.name for field in fields(LaneOptions)]
    for name, value in options.items():
        _known(name, known)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
            raise ValueError(f"{name}: must be a number of zero or more")


def _compression(options: Mapping[str, Any]) -> None:
    for name, value in options.items():
        _known(name, ["min_tokens"])
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or not LEAST_MIN <= value <= LARGEST_MIN:
            raise ValueError(f"{name}: must be a whole number, {LEAST_MIN} to {LARGEST_MIN}")


def _known(name: str, known: list[str]) -> None:
    if name not in known:
        raise ValueError(f"{name}: there is no such option; {', '.join(known)} are")


_CHECKS: dict[str, Callable[[Mapping[str, Any]], object]] = {
    "effort": EffortOptions.of,
    "flex": FlexOptions.of,
    "batch": _batch,
    "cascade": CascadeOptions.of,
    "compression": _compression,
}
