"""Programs that users have, with nothing changed but the base URL: run as they are, by the tests.

Each prints a whole answer on one line and a streamed one, its pieces joined by "|", on the next.
"""
