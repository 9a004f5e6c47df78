"""The semantic cache: an answer given again to the same question in other words. Off by default."""
