"""Filter requests by tag, on every database."""

from __future__ import annotations

import json
from typing import Any

from django.db import connections
from django.db.models import TextField, Value
from django.db.models.functions import Cast, StrIndex


def tagged(requests: Any, tag: str, prefix: str = "") -> Any:
    """Return the requests of a query that have ``tag``; ``prefix`` leads to a row's request."""
    column = f"{prefix}tags"
    if connections[requests.db].features.supports_json_field_contains:
        # The index covers only requests with tags; exclude() lets the planner use it.
        return requests.filter(**{f"{column}__contains": [tag]}).exclude(**{column: []})
    # SQLite: search the JSON text for the tag with its quotes.
    place = StrIndex(Cast(column, TextField()), Value(json.dumps(tag)))
    return requests.annotate(place=place).filter(place__gt=0)
