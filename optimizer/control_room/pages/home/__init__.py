"""The home page: what was spent and saved, what needs a look, the charts, and the details."""
