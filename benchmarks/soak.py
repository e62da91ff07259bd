"""Do at random what happens to a market in years, and look after each deed whether all that must hold does.

Hours are appended, some of them late; hours are corrected; rows are deleted; runs end, are killed, wait for a lock;
sensors tick and what they ask for is run; Dagster is repaired. After each deed no row may be lost, each row must be,
bit for bit, what the engine gives of OHLCV as it is or was before its last corrections, and none may be of an hour that
cannot be computed. At the end come a repair, an overwriting run and the comparison with a table made in one go.
"""

import argparse
import logging
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import dagster as dg
import numpy as np
import pandas as pd

from benchmarks.survival import OHLCV_TABLE, BrokenError, kill, new_scene, require_kept
from feature_backfill.automation.jobs import job_name
from feature_backfill.automation.orphans import SILENCE, end_orphans
from feature_backfill.definitions import build_definitions
from feature_backfill.engine.compute import compute_features
from feature_backfill.hours import HOUR
from feature_backfill.sources.synthetic import synthetic_ohlcv
from feature_backfill.store.database import connect
from feature_backfill.store.feature_reading import read_features
from feature_backfill.store.features import TABLE

FIRST_HOUR = pd.Timestamp("2025-01-01")
BASE_HOURS, TIMEFRAMES = 48, ("1H", "4H", "12H")
FIRST_HOURS, MOST_HOURS = 600, 6000
LATE = 0.005
LONGEST_LIFE_S = 15.0
LOCKED_S = 4
HOLDER = (
    "import duckdb, sys, time; held = duckdb.connect(sys.argv[1]); print(flush=True); time.sleep(float(sys.argv[2]))"
)


class Soak:
    """The market, and what is known of it: oracle. versions: the rows that each state of OHLCV gives, newest last."""

    def __init__(self, folder: Path, seed: int):
        self.rng = np.random.default_rng(seed)
        self.all_hours = synthetic_ohlcv(FIRST_HOUR, MOST_HOURS, seed)
        self.late = self.rng.random(MOST_HOURS) < LATE
        self.late[:FIRST_HOURS] = False
        self.known = FIRST_HOURS
        self.scene = new_scene(folder, self.all_hours[:FIRST_HOURS], BASE_HOURS, TIMEFRAMES)
        self.versions = [self._rows_of_ohlcv()]
        self.cursor: str | None = None
        self.deeds: dict[Callable[[], None], float] = {
            self.append: 0.15, self.fill_in: 0.1, self.correct: 0.1, self.delete: 0.1, self.run: 0.15,
            self.kill: 0.2, self.wait_for_a_lock: 0.05, self.tick: 0.1, self.repair: 0.05,
        }  # fmt: skip

    def deed(self) -> str:
        """Do something, and check; its name."""
        before = self.stored()
        deed = self.rng.choice(np.array(list(self.deeds), dtype=object), p=list(self.deeds.values()))
        deed()
        after = self.stored()
        if deed != self.delete:
            require_kept(pd.Series(0, before.index), pd.Series(0, after.index))
        self.require_right(after)
        return str(deed.__name__)

    def append(self) -> None:
        """Up to 100 hours more, without those that come late."""
        self.known = min(self.known + int(self.rng.integers(1, 100)), MOST_HOURS)
        self._put_ohlcv()
        self.versions[-1] = self._rows_of_ohlcv()

    def fill_in(self) -> None:
        """The hours that were late are there."""
        self.late[: self.known] = False
        self._put_ohlcv()
        self.versions[-1] = self._rows_of_ohlcv()

    def correct(self) -> None:
        """Another volume of some hour; the rows that rest on it are what they were or what they should be."""
        self.all_hours.loc[int(self.rng.integers(0, self.known)), "volume"] += 1.0
        self._put_ohlcv()
        self.versions.append(self._rows_of_ohlcv())

    def delete(self) -> None:
        """A range of rows is deleted by SQL."""
        stored = self.stored().index
        if len(stored):
            first, last = sorted(self.rng.integers(0, len(stored), 2))
            self.scene.execute(f"DELETE FROM {TABLE} WHERE ts BETWEEN ? AND ?", stored[first], stored[last])

    def run(self) -> None:
        """A run over a random range ends well and stores all that can be computed."""
        self._run_over(*self._range())

    def kill(self) -> None:
        """A run that overwrites, or not, is killed."""
        flags = ["--overwrite"] if self.rng.random() < 0.3 else []
        process = self.scene.start(*self.scene.run_command(*self._range(), *flags))
        try:
            process.wait(self.rng.uniform(0, LONGEST_LIFE_S))
        except subprocess.TimeoutExpired:
            pass
        finally:
            kill(process)

    def wait_for_a_lock(self) -> None:
        """A run over a random range outlasts somebody who has the table open."""
        command = [sys.executable, "-c", HOLDER, str(self.scene.market.source.database), str(LOCKED_S)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
            assert holder.stdout is not None
            holder.stdout.readline()
            self._run_over(*self._range())

    def tick(self) -> None:
        """The sensor's tick, and the runs that it asks for."""
        market = self.scene.market
        definitions = build_definitions([market])
        sensor = definitions.get_repository_def().get_sensor_def(
            f"{job_name(market, self.scene.feature_set)}__new_hours"
        )
        job = definitions.resolve_job_def(job_name(market, self.scene.feature_set))
        with self.scene.instance() as instance:
            with dg.build_sensor_context(instance, cursor=self.cursor, definitions=definitions) as context:
                asked = sensor.evaluate_tick(context)
            self.cursor = asked.cursor
            for request in asked.run_requests or []:
                job.execute_in_process(instance=instance, tags=dict(request.tags))

    def repair(self) -> None:
        """Dagster shows what is stored."""
        self.scene.call("repair")
        with (
            self.scene.instance() as instance
        ):  # runs that were killed before they began are given up ten minutes later
            end_orphans(instance, now=pd.Timestamp.now(tz="UTC").tz_localize(None) + SILENCE)
        self.scene.require_settled(bars=False)

    def settle(self) -> None:
        """After a repair and an overwriting run, all is as if nothing had happened."""
        self.repair()
        self.fill_in()
        self._run_over(FIRST_HOUR, self._last(), "--overwrite")
        self.versions = self.versions[-1:]
        rows = self.stored()
        self.require_right(rows)
        if not rows.index.equals(self.versions[-1].index):
            raise BrokenError(f"{len(rows)} rows at the end, and not {len(self.versions[-1])}")
        self.scene.require_settled()

    def stored(self) -> pd.DataFrame:
        """The stored rows, hours x features."""
        if self.scene.rows().empty:
            return self.versions[-1].iloc[:0]
        return read_features(self.scene.market.target_database, self.scene.feature_set.key)

    def require_right(self, rows: pd.DataFrame) -> None:
        """Raise BrokenError unless each row is, bit for bit, that of its hour in one of the versions."""
        right = np.zeros(len(rows), dtype=bool)
        for version in self.versions:
            expected = version.reindex(rows.index)[rows.columns].to_numpy()
            stored = rows.to_numpy()
            right |= rows.index.isin(version.index) & (
                (expected == stored) | np.isnan(expected) & np.isnan(stored)
            ).all(axis=1)
        if not right.all():
            raise BrokenError(f"{(~right).sum()} rows are what no state of OHLCV gives, first {rows.index[~right][0]}")

    def _run_over(self, first: pd.Timestamp, last: pd.Timestamp, *flags: str) -> None:
        self.scene.call(*self.scene.run_command(first, last, *flags))
        possible = self.versions[-1].index
        missing = possible[(possible >= first) & (possible <= last)].difference(self.stored().index)
        if len(missing):
            raise BrokenError(f"{len(missing)} hours are missing after a run over them, first {missing[0]}")

    def _range(self) -> tuple[pd.Timestamp, pd.Timestamp]:
        first, last = sorted(self.rng.integers(0, self.known, 2))
        return FIRST_HOUR + first * HOUR, FIRST_HOUR + last * HOUR

    def _last(self) -> pd.Timestamp:
        return FIRST_HOUR + (self.known - 1) * HOUR

    def _ohlcv(self) -> pd.DataFrame:
        return self.all_hours[: self.known][~self.late[: self.known]]

    def _put_ohlcv(self) -> None:
        """Make the table what it should be."""
        with connect(self.scene.market.source.database, read_only=False) as connection:
            connection.register("rows", self._ohlcv())
            connection.execute(f"CREATE OR REPLACE TABLE {OHLCV_TABLE} AS FROM rows")

    def _rows_of_ohlcv(self) -> pd.DataFrame:
        ohlcv = self._ohlcv()
        return compute_features(ohlcv, ohlcv["timestamp"], BASE_HOURS, timeframes=TIMEFRAMES).features


def main() -> None:
    """Deeds until the time is over, a line each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    logging.disable(logging.WARNING)  # of the runs in this process
    deeds: Counter[str] = Counter()
    with TemporaryDirectory() as temporary:
        soak = Soak(Path(temporary, "market"), options.seed)
        try:
            deadline = time.monotonic() + 60 * options.minutes
            while time.monotonic() < deadline:
                name = soak.deed()
                deeds[name] += 1
                print(f"{deeds.total():5} {name:16} {len(soak.stored()):6,} rows of {soak.known:6,} hours", flush=True)
            soak.settle()
        except BrokenError as error:
            sys.exit(f"BROKEN after {deeds.total()} deeds: {error}")
    print(
        f"{deeds.total()} deeds ({', '.join(f'{count} {name}' for name, count in deeds.most_common())}), nothing broken"
    )


if __name__ == "__main__":
    main()
