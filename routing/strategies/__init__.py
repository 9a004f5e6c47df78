"""The strategies: each chooses a model for a :class:`routing.strategies.base.Situation`."""
