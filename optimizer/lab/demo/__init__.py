"""The demo: sixty days of a made-up company, decided, priced and recorded as real requests are."""
