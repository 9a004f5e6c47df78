"""The names of the clusters that requests come in, for figures that are read request by request."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from routing.evaluation.clustered import FEWEST_CLUSTERS, Labels


class Origin(NamedTuple):
    """Where a request comes from, and the UTC day of it; each text is "" if it is not known."""

    id: str
    session: str
    user: str
    key: str
    day: date


def origin_of(request: Any) -> Origin:
    """Return where a row of the ledger comes from."""
    day = request.created_at.astimezone(UTC).date()
    return Origin(str(request.pk), request.session_id, request.user_id, request.api_key, day)


def labels_of(origins: Iterable[Origin]) -> Labels:
    """Return the places of each request's session, user, key and day among all their names.

    A request without a user is named by its session, and without a session by itself. Fewer than
    :data:`FEWEST_CLUSTERS` users or keys are taken as given, and left out.
    """
    origins = list(origins)
    sessions = [f"s{one.session}" if one.session else f"r{one.id}" for one in origins]
    users = [f"u{one.user}" if one.user else s for one, s in zip(origins, sessions, strict=True)]
    keys = [f"k{one.key}" if one.key else user for one, user in zip(origins, users, strict=True)]
    labels: dict[str, Sequence[Any]] = {
        "session": sessions, "user": users, "key": keys, "day": [one.day for one in origins],
    }  # fmt: skip
    for by, known in (
        ("user", {one.user for one in origins}),
        ("key", {one.key for one in origins}),
    ):
        if len(known - {""}) < FEWEST_CLUSTERS:
            del labels[by]
    return {by: _places(names) for by, names in labels.items()}


def _places(names: Sequence[Any]) -> NDArray[np.intp]:
    """Return the place of each name among all in their order: numbers are compared faster."""
    place = {name: at for at, name in enumerate(sorted(set(names)))}
    return np.fromiter(map(place.__getitem__, names), np.intp, len(names))
