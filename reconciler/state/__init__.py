"""The state file: loading, variables, schema and error messages."""
