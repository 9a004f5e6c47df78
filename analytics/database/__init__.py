"""Access to the database: batches, bulk SQL, locks, availability, large tables, replicas."""
