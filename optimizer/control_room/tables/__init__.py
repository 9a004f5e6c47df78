"""Model admins that need the service: keys, developers, rules, experiments, prices, the trail."""

from __future__ import annotations

from django.contrib.admin import autodiscover

# Before these tables, some of which take the place of Django's own.
autodiscover()

from optimizer.control_room.tables import (  # noqa: E402
    audit,
    developers,
    experiments,
    keys,
    prices,
    rules,
    teams,
)

__all__ = ["audit", "developers", "experiments", "keys", "prices", "rules", "teams"]
