"""Adjustments of a strategy's choice: by a rule, a cached conversation or the guarantee."""
