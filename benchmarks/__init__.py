"""How fast the project is, on a synthetic market: `python -m benchmarks --help`. Needs the extra `bench`."""

import os

# Before numpy is imported, here and in every process started from here: computing is measured on one thread.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
