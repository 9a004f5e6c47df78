"""Personal data: masked before it is stored, encrypted at rest."""
