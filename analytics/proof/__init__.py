"""Proofs: signed roots of days, checks of the ledger, and bundles that a third party verifies."""
