"""How providers are reached over HTTP."""
