"""The semantic cache: answers the same question in other words. It is off by default."""
