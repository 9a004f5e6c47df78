"""A promise about quality: how far routed answers may lie below a reference model's."""
