"""What the product does, joined from the other packages: no HTTP in here."""
