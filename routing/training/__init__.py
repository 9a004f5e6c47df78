"""Trains a predictor on recorded outcomes. Used by commands, never by a request."""
