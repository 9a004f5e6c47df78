"""Whether the intervals of levers hold the truth, and whether harm is stopped in time."""
