"""How requests are routed: rules, policies, experiments."""
