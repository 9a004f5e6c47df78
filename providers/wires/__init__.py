"""How each provider's wire spells a request, an answer and a stream."""
