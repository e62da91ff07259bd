"""Measure everything, or the named parts, and print a line a figure."""

import argparse
import os
import platform
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module

from benchmarks.measure import Figure

PARTS = {
    "compute": "benchmarks.computing",
    "store": "benchmarks.storing",
    "lake": "benchmarks.lake",
    "bookkeeping": "benchmarks.bookkeeping",
    "commands": "benchmarks.commands",
    "status": "benchmarks.status",
    "fetch": "benchmarks.fetching",
    "live": "benchmarks.live",
    "markets": "benchmarks.many_markets",
    "scale": "benchmarks.scale",
    "talib": "benchmarks.talib_values",
}
EXTRAS = {"lake": "lake-test"}
"""By part, the extra that it needs, if not bench."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the parts in turn."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all if none is named")
    parser.add_argument("--hours", type=int, default=20_000, help="size of what is measured (%(default)s)")
    options = parser.parse_args(arguments)
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    print(
        f"{options.hours:,} hours of 440 features; Python {platform.python_version()}, {os.cpu_count()} cores, "
        f"load average before {os.getloadavg()[0]:.1f}"
    )
    for part in options.parts or PARTS:
        try:
            module = import_module(PARTS[part])
        except ModuleNotFoundError as error:
            print(f"\n{part} left out: {error}; install the extra {EXTRAS.get(part, 'bench')}")
            continue
        figures: Callable[[int], Iterator[Figure]] = module.figures
        print(f"\n{(module.__doc__ or '').strip()}")
        for figure in figures(options.hours):
            print(figure, flush=True)


if __name__ == "__main__":
    main()
