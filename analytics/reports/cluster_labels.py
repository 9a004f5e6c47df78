"""The names of the clusters that requests come in, for figures that are read request by request."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np

from routing.evaluation.clustered import FEWEST_CLUSTERS, Labels


class Origin(NamedTuple):
    """Where a request comes from, and when (aware); each text is "" if it is not known."""

    id: str
    session: str
    user: str
    key: str
    at: datetime


ORIGIN_COLUMNS = ("id", "session_id", "user_id", "api_key", "created_at")
"""The columns of a request that make an :class:`Origin`."""


def origin_of(request: Any) -> Origin:
    """Return where a row of the ledger comes from."""
    return Origin(*(getattr(request, name) for name in ORIGIN_COLUMNS))


def labels_of(origins: Iterable[Origin]) -> Labels:
    """Return the names of each request's session, user, key and day.

    A request without a user is named by its session, and without a session by itself. Fewer than
    :data:`FEWEST_CLUSTERS` users or keys are taken as given, and left out.
    """
    origins = list(origins)
    sessions = [f"s{one.session}" if one.session else f"r{one.id}" for one in origins]
    users = [f"u{one.user}" if one.user else s for one, s in zip(origins, sessions, strict=True)]
    keys = [f"k{one.key}" if one.key else user for one, user in zip(origins, users, strict=True)]
    days = [one.at.astimezone(UTC).date().isoformat() for one in origins]
    labels = {"session": sessions, "user": users, "key": keys, "day": days}
    for by, known in (
        ("user", {one.user for one in origins}),
        ("key", {one.key for one in origins}),
    ):
        if len(known - {""}) < FEWEST_CLUSTERS:
            del labels[by]
    return {by: np.array(names) for by, names in labels.items()}
