"""The ledger: durable request records, their totals, and how long they are kept."""
