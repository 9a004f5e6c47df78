"""A study of prices: a thousand answers, priced by the service and by hand."""
