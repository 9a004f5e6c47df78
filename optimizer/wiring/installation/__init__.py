"""What this installation is built of: its folders, providers, ledger, routing and tasks."""
