"""What happened: ORM models, the ledger that fills them and what is read from them."""
