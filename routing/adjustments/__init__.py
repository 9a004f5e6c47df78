"""What may replace a strategy's choice: a rule's model, a cached conversation's, a guarantee's."""
