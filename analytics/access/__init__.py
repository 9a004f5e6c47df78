"""API keys, admin roles, the audit trail, and tables whose changes every worker notices."""
