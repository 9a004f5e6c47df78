"""The active levers: the mode of each, and which requests are left alone to measure it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

from analytics.models import Lever
from optimizer.domain.levers import (
    DRAWN_BY_REQUEST,
    LEVERS,
    MODES,
    RAMP_SHARE,
    SWITCHED_BY_SETTINGS,
    Arm,
    LeverTrial,
    Mode,
)
from optimizer.domain.request import GatewayRequest
from optimizer.policies.arms import place_of
from providers.values import frozen

JOINT_SHARE = 0.01
"""Share of units that all levers leave alone, so that what they save together can be measured."""


class LeverSettingError(ValueError):
    """``LEVERS`` cannot be read; the message says what is wrong in it."""


def read_modes(text: str) -> dict[str, Mode]:
    """Return the modes in a setting such as ``compression:prove,effort:on``.

    Raises :class:`LeverSettingError`.
    """
    modes: dict[str, Mode] = {}
    for entry in filter(None, map(str.strip, text.split(","))):
        name, _, wanted = entry.partition(":")
        mode = next((mode for mode in MODES if mode == (wanted.strip() or "on")), None)
        if name.strip() not in LEVERS:
            raise LeverSettingError(f"{name.strip()!r} is no lever; levers are {', '.join(LEVERS)}")
        if mode is None:
            raise LeverSettingError(f"{entry!r}: the mode of a lever is {', '.join(MODES)}")
        modes[name.strip()] = mode
    return modes


@frozen
class LeverState:
    """How one lever is used now. ``fixed`` modes come from the environment, which wins."""

    mode: Mode
    control_share: float
    options: Mapping[str, Any]
    fixed: bool = False


class ActiveLevers:
    """Draws the arm of a request for each lever that is in use.

    ``fixed`` are the modes that the environment sets, ``load`` reads those that operators have
    set. ``switched_off`` are levers that a setting of their own switches off. ``refresh`` reads
    the database, so do not call it on the event loop.
    """

    def __init__(
        self,
        fixed: Mapping[str, Mode],
        load: Callable[[], Iterable[Lever]],
        *,
        control_share: float = 0.05,
        switched_off: Iterable[str] = (),
    ) -> None:
        self._fixed = dict(fixed)
        self._load = load
        self._control_share = control_share
        self._switched_off = frozenset(switched_off)
        self.states: dict[str, LeverState] = {}
        self.any = False
        """Whether a lever is in use that requests must ask about."""
        self._set({})

    def refresh(self) -> None:
        """Read the modes that operators have set."""
        self._set({row.name: row for row in self._load()})

    def mode(self, name: str) -> Mode:
        """Return the mode of a lever."""
        return self.states[name].mode

    def options(self, name: str) -> Mapping[str, Any]:
        """Return the lever's own settings."""
        return self.states[name].options

    def draw(
        self,
        name: str,
        request: GatewayRequest,
        *,
        expected: Decimal | None = None,
        detail: Mapping[str, Any] | None = None,
    ) -> LeverTrial | None:
        """Return the trial of a request that the lever would change, ``None`` if it is off.

        A session always has the same arm; a request without a session has its own, and so has
        each for the levers in :data:`optimizer.domain.levers.DRAWN_BY_REQUEST`.
        """
        state = self.states[name]
        if state.mode == "off":
            return None
        arm: Arm = "treated"
        propensity, joint = 1.0, False
        if state.mode == "prove":
            alone = f"{request.client.tenant}\0{request.request_id}"
            unit = f"{request.client.tenant}\0{request.session.id}" if request.session.id else alone
            joint = place_of("all levers", unit) < JOINT_SHARE
            propensity = 1 - state.control_share
            place = place_of(name, alone if name in DRAWN_BY_REQUEST else unit)
            arm = "control" if joint or place < state.control_share else "treated"
        return LeverTrial(name, arm, propensity, expected, joint, detail)

    def _set(self, rows: Mapping[str, Lever]) -> None:
        states = {name: self._state(name, rows.get(name)) for name in LEVERS}
        # What the settings switch is used without a trial, unless it is to be proven.
        asked = {
            name
            for name, state in states.items()
            if state.mode == "prove" or (state.mode == "on" and name not in SWITCHED_BY_SETTINGS)
        }
        self.states, self.any = states, bool(asked)

    def _state(self, name: str, row: Lever | None) -> LeverState:
        default: Mode = "on" if name in SWITCHED_BY_SETTINGS else "off"
        mode, fixed = default, name in self._fixed
        if fixed:
            mode = self._fixed[name]
        elif row is not None:
            mode = next(known for known in MODES if known == row.mode)
        if name in self._switched_off:
            mode, fixed = "off", True
        if row is not None and row.stopped_at is not None:
            # It does harm: that counts for more than what the environment says.
            mode, fixed = "off", False
        share = row.control_share if row is not None else None
        if row is not None and row.ramping:
            share = max(RAMP_SHARE, share or 0.0)
        options = row.options if row is not None else {}
        return LeverState(mode, self._control_share if share is None else share, options, fixed)
