"""`feature-backfill status` of 200 markets with two feature sets each, every market with a gap and files of its own."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.measure import Figure, command
from feature_backfill.hours import HOUR, last_closed_hour
from feature_backfill.store.database import connect
from feature_backfill.store.features import ensure_features_table

MARKETS = 200
TIMES = 3
GAP_HOURS = 7
LOOKBACKS = {"a": 720, "b": 168}

VALUES = "10.0 AS open, 11.0 AS high, 9.0 AS low, 10.0 AS close, 1.0 AS volume"
RANGE = (
    "SELECT $first::TIMESTAMP + hour * INTERVAL 1 HOUR AS ts FROM range($begin, $end) AS hours(hour)"
    " WHERE hour NOT BETWEEN $gap AND $gap_end"
)
"""Consecutive hours without a gap; begin, end and the ends of the gap count from the first."""

YAML = """\
name: {name}
first_hour: {first}
source: {{database: ../{name}_ohlcv.duckdb, table: ohlcv}}
target_database: ../{name}.duckdb
feature_sets:
  - {{key: {name}_a}}
  - {{key: {name}_b, base_hours: 168, timeframes: [1H, 4H, 12H]}}
"""


def figures(hours: int) -> Iterator[Figure]:
    """The whole command, the fastest of several."""
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "configs").mkdir()
        for number in range(MARKETS):
            _make_market(folder, f"m{number:03}", hours)
        elapsed = min(command(["feature_backfill", "status"], folder, folder)[0] for _ in range(TIMES))
        yield Figure(f"feature-backfill status, {MARKETS} markets of {hours:,} hours", elapsed, "s", "under 2")


def _make_market(folder: Path, name: str, hours: int) -> None:
    """A market whose rows are stored, by SQL: all that can be computed, without values."""
    first = last_closed_hour() - (hours - 1) * HOUR
    (folder / "configs" / f"{name}.yaml").write_text(YAML.format(name=name, first=f"{first:%Y-%m-%dT%H:%M}"))
    gap, gap_end = hours // 2, hours // 2 + GAP_HOURS - 1
    bounds = {"first": first, "begin": 0, "end": hours, "gap": gap, "gap_end": gap_end}
    with connect(folder / f"{name}_ohlcv.duckdb", read_only=False) as connection:
        connection.execute(f"CREATE TABLE ohlcv AS SELECT ts AS timestamp, {VALUES} FROM ({RANGE})", bounds)
    with connect(folder / f"{name}.duckdb", read_only=False) as connection:
        ensure_features_table(connection)
        for key, lookback in LOOKBACKS.items():
            waiting = lookback - 1
            sound = bounds | {"begin": waiting, "gap_end": gap_end + waiting, "key": f"{name}_{key}"}
            connection.execute(
                f"INSERT INTO features (feature_key, ts, features) SELECT $key, ts, '{{}}' FROM ({RANGE})", sound
            )
