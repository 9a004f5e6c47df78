"""What workers share of pools: which members are spared, and how many calls they have."""
