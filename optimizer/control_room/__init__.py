"""The admin's home: what is spent and saved, whether quality holds, what is broken."""
