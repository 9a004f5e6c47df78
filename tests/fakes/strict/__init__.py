"""Fake models that remember what they wrote and refuse every history that is not theirs."""
