"""`python -m benchmarks.gateway`: this service beside its peers and its bounds, in one run.

Every target is one process on one core; the load generator (wrk) and the upstream have
the other. Targets take turns within a round, so that a noisy moment hits all alike; the
median of the rounds is shown. Only ratios travel between machines.
"""
