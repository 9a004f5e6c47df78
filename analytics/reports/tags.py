"""Requests by their tags, on every database."""

from __future__ import annotations

import json
from typing import Any

from django.db import connection
from django.db.models import TextField, Value
from django.db.models.functions import Cast, StrIndex


def tagged(requests: Any, tag: str) -> Any:
    """Those of a query that have ``tag`` among theirs."""
    if connection.features.supports_json_field_contains:
        # The index knows only requests that have tags; the planner must be told that this does.
        return requests.filter(tags__contains=[tag]).exclude(tags=[])
    # SQLite: the tag as it stands in the JSON text, quotes included.
    place = StrIndex(Cast("tags", TextField()), Value(json.dumps(tag)))
    return requests.annotate(place=place).filter(place__gt=0)
