"""HTTP access to providers: the client, the base of the wires, server-sent events."""
