"""What several commands share: the market and hours that the flags mean, the Dagster instance, a backfill."""
