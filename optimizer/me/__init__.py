"""The pages at /me: what a developer spent, has left and asked, and keys of one's own."""
