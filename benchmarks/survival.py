"""A market on disk that is mistreated, and what must hold of it whatever is done to it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pandas as pd

from benchmarks.folders import dagster_home
from benchmarks.measure import CHECKOUT
from feature_backfill.assets.names import bars_key, features_key
from feature_backfill.automation.changes import database_state, file_state
from feature_backfill.automation.runs import ON_THEIR_WAY
from feature_backfill.config import FeatureSet, Market, market_from
from feature_backfill.hours import partition_keys
from feature_backfill.store.database import connect
from feature_backfill.store.features import TABLE
from feature_backfill.store.schema import has_table

NAME, KEY = "mistreated", "survivor"
OHLCV_TABLE = "ohlcv_mistreated_1h"
COMMAND_PATIENCE_S = 600


class BrokenError(Exception):
    """Something that must hold does not."""


@dataclass(frozen=True)
class Scene:
    """A folder with configs/, the two databases and a DAGSTER_HOME with the shipped dagster.yaml."""

    folder: Path
    market: Market

    @property
    def feature_set(self) -> FeatureSet:
        """The only one."""
        return self.market.feature_set(KEY)

    @property
    def home(self) -> Path:
        """The DAGSTER_HOME."""
        return self.folder / "home"

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """The command line as a process, in a group of its own; what it says goes to command.log."""
        with (self.folder / "command.log").open("w") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "feature_backfill.cli", *arguments],
                cwd=self.folder,
                env={**os.environ, "DAGSTER_HOME": str(self.home), "PYTHONPATH": str(CHECKOUT)},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def call(self, *arguments: str) -> str:
        """What a command said. Raises BrokenError if it fails."""
        process = self.start(*arguments)
        code = process.wait(COMMAND_PATIENCE_S)
        said = (self.folder / "command.log").read_text()
        if code != 0:
            raise BrokenError(f"{' '.join(arguments)} ended with {code}: {said[-2000:]}")
        return said

    def run_command(self, first: pd.Timestamp, last: pd.Timestamp, *flags: str) -> list[str]:
        """The command that backfills from first to last."""
        return ["run", "--feature-key", KEY, "--start", str(first), "--end", str(last), *flags]

    def execute(self, statement: str, *values: object) -> None:
        """Change the target database behind everybody's back."""
        with connect(self.market.target_database, read_only=False) as connection:
            connection.execute(statement, list(values))

    def rows(self) -> pd.Series:
        """The stored JSON by hour; none if there is no table yet."""
        none = pd.Series(dtype=object, index=pd.DatetimeIndex([], dtype="datetime64[us]"))
        if not self.market.target_database.exists():
            return none
        with connect(self.market.target_database, read_only=True) as connection:
            if not has_table(connection, TABLE):
                return none
            frame = connection.execute(
                f"SELECT ts, features FROM {TABLE} WHERE feature_key = ? ORDER BY ts", [KEY]
            ).df()
        return pd.Series(frame["features"].to_numpy(), index=pd.DatetimeIndex(frame["ts"]).as_unit("us"))

    def states(self) -> tuple[str, str]:
        """One changes whenever the target database is written, the other whenever Dagster's index of events is.

        Looks at nothing but sizes and times of files.
        """
        return database_state(self.market.target_database), file_state(self.home / "history/runs/index.db")

    @contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        """Dagster's records."""
        os.environ["DAGSTER_HOME"] = str(self.home)  # dagster.yaml asks for it
        with dg.DagsterInstance.get() as instance:
            yield instance

    def disagreements(self) -> int:
        """Hours that either the table or Dagster has, but not both."""
        with self.instance() as instance:
            shown = instance.get_materialized_partitions(features_key(self.market, self.feature_set))
        return len(shown ^ set(partition_keys(pd.DatetimeIndex(self.rows().index))))

    def bars_lacking(self) -> int:
        """Stored hours whose bars Dagster shows as missing."""
        stored = set(partition_keys(pd.DatetimeIndex(self.rows().index)))
        with self.instance() as instance:
            return sum(
                len(stored - instance.get_materialized_partitions(bars_key(self.market, timeframe)))
                for timeframe in self.market.bar_timeframes
            )

    def require_settled(self, bars: bool = True) -> None:
        """Raise BrokenError unless Dagster shows what the tables hold, no run is left over and no pool slot is held.

        bars: whether those that the stored rows rest on must show too, which they do not while OHLCV disagrees.
        """
        with self.instance() as instance:
            unfinished = instance.get_runs(dg.RunsFilter(statuses=ON_THEIR_WAY))
            holders = instance.event_log_storage.get_concurrency_run_ids()
        problems = {
            "hours on which Dagster and the table disagree": self.disagreements(),
            "bars that Dagster shows as missing": self.bars_lacking() if bars else 0,
            "runs left over": len(unfinished),
            "runs that hold a pool slot": len(holders),
        }
        if any(problems.values()):
            raise BrokenError(", ".join(f"{count} {what}" for what, count in problems.items() if count))


def new_scene(folder: Path, ohlcv: pd.DataFrame, base_hours: int, timeframes: Iterable[str]) -> Scene:
    """Fill an empty folder. ohlcv: rows x (timestamp, open, high, low, close, volume)."""
    configs = folder / "configs"
    configs.mkdir(parents=True)
    dagster_home(folder)
    fields = {
        "name": NAME,
        "first_hour": ohlcv["timestamp"].iloc[0].isoformat(),
        "source": {"database": "../ohlcv.duckdb", "table": OHLCV_TABLE},
        "target_database": "../features.duckdb",
        "feature_sets": [{"key": KEY, "base_hours": base_hours, "timeframes": list(timeframes)}],
    }
    (configs / f"{NAME}.yaml").write_text(json.dumps(fields))
    market = market_from(fields, configs, NAME)
    with connect(market.source.database, read_only=False) as connection:
        connection.register("rows", ohlcv)
        connection.execute(f"CREATE TABLE {OHLCV_TABLE} AS FROM rows")
    return Scene(folder, market)


def kill(process: subprocess.Popen[bytes]) -> bool:
    """SIGKILL a process and all that it started; whether it was still going."""
    going = process.poll() is None
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return going


def require_kept(before: pd.Series, after: pd.Series) -> None:
    """Raise BrokenError if a row of before is gone."""
    lost = before.index.difference(after.index)
    if len(lost):
        raise BrokenError(f"{len(lost)} stored rows are lost, {lost[0]} .. {lost[-1]}")


def require_equal_rows(rows: pd.Series, reference: pd.Series) -> None:
    """Raise BrokenError unless each row is, byte for byte, that of its hour in the reference."""
    unknown = rows.index.difference(reference.index)
    if len(unknown):
        raise BrokenError(
            f"{len(unknown)} rows of hours that have none in the reference, {unknown[0]} .. {unknown[-1]}"
        )
    differing = rows.index[(rows != reference[rows.index]).to_numpy()]
    if len(differing):
        raise BrokenError(f"{len(differing)} rows differ from the reference, {differing[0]} .. {differing[-1]}")
