"""From recorded outcomes to a trained predictor. Used by commands, never by a request."""
