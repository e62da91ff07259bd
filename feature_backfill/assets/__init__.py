"""The Dagster assets: read, call the engine, write, report."""
