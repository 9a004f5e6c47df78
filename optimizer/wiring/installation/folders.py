"""Where this installation keeps what is not in its database."""

from __future__ import annotations

from pathlib import Path

from analytics.ledger.journal import Journal
from optimizer.wiring.product_settings import product_settings


def journal() -> Journal:
    """Return the journal: where ledger entries wait while the database is unavailable."""
    return Journal(product_settings().data_dir / "ledger-journal")


def begun_calls_folder() -> Path:
    """Return the folder in which workers prove which calls they began."""
    return product_settings().data_dir / "begun-calls"
