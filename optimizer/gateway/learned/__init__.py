"""What answers teach about models: how fast they are, and how long their answers."""
