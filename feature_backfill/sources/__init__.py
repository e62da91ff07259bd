"""Sources of hourly OHLCV: CSV and Parquet files, and the synthetic market."""
