"""The judge, the quality guarantee, and the evidence that learning uses."""
