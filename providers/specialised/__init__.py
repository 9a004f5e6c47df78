"""Models that do one thing: draw, write down or speak audio, judge texts, or rank documents."""
