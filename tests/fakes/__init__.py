"""Fake providers: real HTTP on loopback, each speaking its wire as the real one does."""
