"""Where hourly OHLCV comes from: files, the synthetic market."""
