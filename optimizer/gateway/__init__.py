"""The path of a request: cache, route, call, price, record."""
