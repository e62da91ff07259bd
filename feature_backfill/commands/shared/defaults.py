"""What flags mean that are not given; a module of its own, because --help needs it and waits for nothing else."""

DEFAULT_TABLE = "ohlcv_btcusdt_1h"
