"""What becomes of each hour, and why. Decisions only: nothing here knows Dagster, SQL or the clock."""
