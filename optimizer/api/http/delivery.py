"""Reads by when and how a client wants its answer: the headers that any API may have.

``x-optimizer-deadline`` is a deadline, and ``Prefer: respond-async`` (RFC 7240) accepts an id in
place of the answer. What the body says counts before them.
"""

from __future__ import annotations

from collections.abc import Callable

from optimizer.api.http.body_reader import InvalidField
from optimizer.domain.deadlines import Delivery, prefers_later, read_deadline

_DEADLINE = "x-optimizer-deadline"


def read_delivery(own: Delivery, header: Callable[[str], str]) -> Delivery:
    """Return ``own``, the body's, completed by the headers.

    ``header`` returns a header by its lower-case name. Raises :class:`InvalidField`.
    """
    deadline, prefer = header(_DEADLINE), header("prefer")
    if not deadline and not prefer:
        return own
    seconds = own.deadline
    if seconds is None and deadline:
        text = deadline.strip()
        try:
            seconds = read_deadline(float(text) if _is_number(text) else text)
        except ValueError as error:
            raise InvalidField(_DEADLINE, f"{_DEADLINE}: {error}", "invalid_value") from None
    return Delivery(seconds, own.accepts_later or prefers_later(prefer), own.webhook)


def _is_number(text: str) -> bool:
    return text.isascii() and text.replace(".", "", 1).isdigit()
