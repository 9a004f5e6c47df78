"""Requests that are no chats: passed to the model that they name, priced and recorded."""
