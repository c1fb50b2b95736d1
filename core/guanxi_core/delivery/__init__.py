"""Delivery: events reach the handlers of enabled plugins, schedules run when they are due.

Every process with a worker takes part; what one of them has claimed, no other runs.
"""
