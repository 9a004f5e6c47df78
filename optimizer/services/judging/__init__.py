"""The judge: a model that is shown two answers and says which is better."""
