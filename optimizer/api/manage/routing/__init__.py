"""Where requests go: members of pools, and kinds of requests that shadow evaluation moved."""
