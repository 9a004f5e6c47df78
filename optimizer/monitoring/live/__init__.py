"""The live feed: recorded requests sent to everyone who watches at that moment."""
