"""What was spent and saved, summed up: figures, reports, statements."""
