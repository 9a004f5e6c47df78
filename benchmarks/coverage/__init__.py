"""How often the intervals of reports hold the truth, on simulated traffic whose truth is known."""
