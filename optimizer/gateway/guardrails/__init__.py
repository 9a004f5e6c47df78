"""Guard rails: what is changed, checked and refused before and after each call of a model."""
