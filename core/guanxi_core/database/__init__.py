"""The database: the embedded server, connections and migrations."""
