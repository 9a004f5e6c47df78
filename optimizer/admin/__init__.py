"""The admin's pages that decide or change something; Django looks for them here."""

from __future__ import annotations

from optimizer.admin import audit, experiments, prices, rules

__all__ = ["audit", "experiments", "prices", "rules"]
