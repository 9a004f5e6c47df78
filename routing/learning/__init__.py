"""What outcomes teach: estimates of each model's quality on each kind of prompt."""
