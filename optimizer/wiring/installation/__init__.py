"""Builds the parts of this installation: its folders, providers, ledger, routing and tasks."""
