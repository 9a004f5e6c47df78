"""How the database is reached: batches, bulk SQL, locks, waiting, replicas."""
