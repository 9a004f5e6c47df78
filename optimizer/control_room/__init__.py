"""The admin: spending, savings, quality, problems, and the pages to act on them."""
