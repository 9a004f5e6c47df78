"""Model admins that need the service: rules, experiments, prices, and the audit trail."""

from __future__ import annotations

from optimizer.control_room.tables import audit, experiments, prices, rules

__all__ = ["audit", "experiments", "prices", "rules"]
