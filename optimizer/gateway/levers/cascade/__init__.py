"""A cheap model answers, checks decide, and a stronger model answers if one of them fails."""
