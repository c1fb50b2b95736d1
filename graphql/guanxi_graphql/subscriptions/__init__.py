"""Subscriptions while they are open: one reader for each tenant, and the ways to clients."""
