"""GraphQL over HTTP: types, compiled plans, execution, and the server."""
