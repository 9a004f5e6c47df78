"""Requests that are answered later: how they are accepted, followed, fetched and cancelled."""
