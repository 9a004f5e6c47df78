"""What providers keep for clients: batches, files, responses, conversations; and our own."""
