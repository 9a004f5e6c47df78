"""How agents and SDKs are pointed to this gateway: the lines to set, and their files."""
