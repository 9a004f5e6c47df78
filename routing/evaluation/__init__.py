"""Evaluates routers on recorded outcomes: APGR, CPT and costs, with intervals."""
