"""Streams that several clients may share."""
