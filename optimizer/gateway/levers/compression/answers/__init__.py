"""Makes one answer of all rounds, in the provider's own form, without the gateway's own calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from providers.events import Relayed


class StreamMerger(Protocol):
    """Passes on the messages of several streams as those of one."""

    def feed(self, message: Relayed) -> list[Relayed]:
        """Return what the client gets of ``message`` now; what may end the answer is held."""
        ...

    def next_round(self) -> list[Relayed]:
        """Forget the ending of a round that another one follows; return what was not it."""
        ...

    def round_body(self) -> Mapping[str, Any] | None:
        """Return what is known of the answer of the round in the provider's form, if anything."""
        ...

    def endings(self) -> list[Relayed]:
        """Return the messages that end the answer."""
        ...


class AnswerWire(Protocol):
    """How one wire writes answers."""

    def merged(self, bodies: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Return one whole answer of those of all rounds; its usage is that of the last one."""
        ...

    def stream(self) -> StreamMerger:
        """Return what merges the streams of one answer."""
        ...
