"""Search: what rows are found by, kept beside them, and what somebody searches for."""
