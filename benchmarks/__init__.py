"""How fast guanxi is, as ratios to a handler that was written by hand: ``python -m benchmarks``."""
