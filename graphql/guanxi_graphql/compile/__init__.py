"""Documents to statements: one operation becomes one SQL statement that answers in JSON."""
