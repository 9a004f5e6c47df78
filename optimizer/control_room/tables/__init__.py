"""The admin's tables that decide or change something."""

from __future__ import annotations

from optimizer.control_room.tables import audit, experiments, prices, rules

__all__ = ["audit", "experiments", "prices", "rules"]
