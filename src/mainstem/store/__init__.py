"""Where durable runs are kept: their identity, progress and rejects, in SQLite or PostgreSQL."""
