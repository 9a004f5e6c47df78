"""Looking an installation over: what is wrong with it, and how to mend it."""
