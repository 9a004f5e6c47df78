"""Ratings and judgements of answers, and the quality of models estimated from them."""
