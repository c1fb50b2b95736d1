"""Other ways to serve the same data."""
