"""The quality guarantee: how far routed answers may lie below a reference model's."""
