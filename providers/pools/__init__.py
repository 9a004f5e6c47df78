"""Pools: several keys, deployments and regions that serve the same models."""
