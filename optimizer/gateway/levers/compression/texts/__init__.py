"""The ways to write a text shorter. Each is a function of the text alone."""
