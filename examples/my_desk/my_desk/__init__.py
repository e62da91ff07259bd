"""A desk's own features and predictions on top of feature_backfill."""
