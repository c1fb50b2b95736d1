"""What operators see of a running process: logs, metrics and traces.

Nothing here holds what customers wrote: no variables, no values of rows, no tokens.
"""
