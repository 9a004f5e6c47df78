"""Other APIs' wires, spoken to clients: read into a chat, answered from a completion."""
