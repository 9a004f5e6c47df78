"""The management API, under ``/api/v1/manage``: what operators change, for programs."""
