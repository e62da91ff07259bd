"""Hours a second of compute_features: 440 features, 720 hours of lookback, one thread, partial oldest bars included."""

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.market import ohlcv_and_targets
from benchmarks.measure import Figure, in_fresh_process, peak_mib, seconds
from feature_backfill import compute_features
from feature_backfill.checks import oracle

ORACLE_HOURS = 20


@dataclass(frozen=True)
class Computed:
    """Seconds of the first call and of the best later one; peak MiB, result aside."""

    first: float
    warm: float
    besides_result: float


def compute(hours: int, later_calls: int = 3) -> Computed:
    """Compute that many hours again and again in this process."""
    ohlcv, targets = ohlcv_and_targets(hours)
    first = seconds(lambda: compute_features(ohlcv, targets))
    besides = peak_mib() - 440 * 8 * hours / 2**20
    warm = seconds(lambda: compute_features(ohlcv, targets), later_calls)
    return Computed(first, warm, besides)


def one_hour() -> float:
    """Seconds for one hour alone, warm."""
    ohlcv, targets = ohlcv_and_targets(1)
    return seconds(lambda: compute_features(ohlcv, targets), 20)


def by_oracle(hours: int) -> float:
    """Seconds an hour of the scalar program that the tests compare with."""
    ohlcv, targets = ohlcv_and_targets(hours)
    rows = oracle.hourly_rows(ohlcv)
    timeframes = ("1H", "4H", "12H", "1D")
    return seconds(
        lambda: [oracle.features_of_hour(rows, ts.to_pydatetime(), 720, 0, timeframes) for ts in targets]
    ) / len(targets)


def figures(hours: int) -> Iterator[Figure]:
    """Rate, growth, memory, and the ratio to the oracle."""
    at_size = in_fresh_process(compute, hours)
    yield Figure("compute, first call of a process", hours / at_size.first, "hours/s", "20,000 or more")
    yield Figure("compute, warm", hours / at_size.warm, "hours/s", "50,000 or more")
    yield Figure("compute, one hour alone, warm", 1000 * in_fresh_process(one_hour), "ms", "under 30")
    for share in (4, 2):
        part = hours // share
        yield Figure(f"compute, warm, {part:,} hours", part / in_fresh_process(compute, part).warm, "hours/s")
    yield Figure(
        f"compute, warm, {hours * 2:,} hours", hours * 2 / in_fresh_process(compute, 2 * hours).warm, "hours/s"
    )
    most = in_fresh_process(compute, 10 * hours, 1)
    yield Figure(f"compute, warm, {hours * 10:,} hours", hours * 10 / most.warm, "hours/s")
    target = "under 2,048 for 200,000 hours"
    yield Figure(f"compute, {hours * 10:,} hours, peak besides the result", most.besides_result, "MiB", target)
    yield Figure("compute, warm, times the scalar oracle", by_oracle(ORACLE_HOURS) * hours / at_size.warm, "x")
