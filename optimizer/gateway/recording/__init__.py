"""Recording: prices requests and writes their records to the ledger."""
