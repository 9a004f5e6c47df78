"""The wires on which requests are relayed as they came: how each writes what is changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from optimizer.gateway.levers.compression.hidden import HiddenCall, Result, Rounds
from optimizer.gateway.levers.compression.places import Change
from providers.completion import Completion

Body = Mapping[str, Any]


def objects_in(value: Any) -> list[Any]:
    """Return the JSON objects in a list; nothing where it is none, as clients send odd things."""
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


class RequestWire(Protocol):
    """How one wire writes a request. Nothing changes the given body; all return a new one."""

    def takes_tool(self, body: Body) -> bool:
        """Return whether the gateway's own tool can be added to a conversation of this kind."""
        ...

    def with_tool(self, body: Body) -> dict[str, Any]:
        """Return the body with the gateway's own tool after those of the client."""
        ...

    def changed(self, body: Body, change: Change) -> dict[str, Any]:
        """Return the body with the texts that ``change`` returns."""
        ...

    def with_rounds(self, body: Body, rounds: Rounds, result: Result) -> dict[str, Any]:
        """Return the body with the hidden rounds of earlier answers where they were."""
        ...

    def continued(
        self, body: Body, completion: Completion, calls: Sequence[HiddenCall], result: Result
    ) -> dict[str, Any]:
        """Return the body of the next round: with the model's answer and the originals."""
        ...
