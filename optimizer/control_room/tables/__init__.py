"""Model admins that need the service: keys, developers, rules, experiments, prices, the trail."""

from __future__ import annotations

from optimizer.control_room.tables import (
    audit,
    developers,
    experiments,
    keys,
    prices,
    rules,
    teams,
)

__all__ = ["audit", "developers", "experiments", "keys", "prices", "rules", "teams"]
