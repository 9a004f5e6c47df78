"""The ledger beside what providers state: matched by day and model, the remainder explained."""
