"""The page "What if": its form, the estimates side by side, and the demo's own policies."""
