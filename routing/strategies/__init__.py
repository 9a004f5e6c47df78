"""The ways to choose a model. Each takes a :class:`Situation` and returns a decision."""
