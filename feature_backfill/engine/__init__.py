"""The computation: pandas in, pandas out. Knows nothing of Dagster, DuckDB or the clock."""
