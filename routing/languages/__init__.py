"""Words of demanding work in other languages than English, and the scripts they are written in."""
