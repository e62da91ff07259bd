"""Messages that leave Dagster: what changed, how it is said, and how it is sent. Knows no Dagster, no SQL, no clock."""
