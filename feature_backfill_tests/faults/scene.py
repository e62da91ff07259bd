"""A market in a folder, to which faults happen, and what must hold of it afterwards."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pandas as pd

from feature_backfill.assets.names import bars_key, features_key
from feature_backfill.automation.changes import database_state, file_state
from feature_backfill.automation.runs import ON_THEIR_WAY
from feature_backfill.config import FeatureSet, Market
from feature_backfill.dagster_internals.orphans import SILENCE, end_orphans
from feature_backfill.hours import partition_keys
from feature_backfill_tests.faults.driver import Command, Fault
from feature_backfill_tests.homes import new_home
from feature_backfill_tests.markets import TABLE, WHERE, put_ohlcv, small_market, stored


@dataclass(frozen=True)
class Scene:
    """folder: holds the market's databases and is the DAGSTER_HOME; market: as the command line sees it."""

    folder: Path
    market: Market

    @property
    def feature_set(self) -> FeatureSet:
        """The only one."""
        (feature_set,) = self.market.feature_sets
        return feature_set

    @property
    def features(self) -> dg.AssetKey:
        """The asset of the feature set."""
        return features_key(self.market, self.feature_set)

    @property
    def flags(self) -> list[str]:
        """What describes the market to a command."""
        lookback = ["--base-hours", str(self.feature_set.base_hours), "--timeframes", *self.feature_set.timeframes]
        return [*WHERE, "--feature-key", self.feature_set.key, *lookback]

    def start(self, command: str, *arguments: str, faults: Sequence[Fault] = ()) -> Command:
        """Start a command on the market in a process of its own."""
        return Command(self.folder, [command, *self.flags, *arguments], *faults)

    def finish(self, command: str, *arguments: str) -> str:
        """What a command said that nothing happened to. It must succeed."""
        code, said = self.start(command, *arguments).ended()
        assert code == 0, f"{command} {' '.join(arguments)} ended with {code}: {said[-2000:]}"
        return said

    def stored(self) -> pd.DataFrame:
        """Text and time of the stored rows, by hour."""
        return stored(self.market).set_index("ts")

    def rows(self) -> pd.Series:
        """Text of the stored rows, by hour."""
        return self.stored()["features"]

    def states(self) -> tuple[str, str]:
        """Two texts: one changes when the target database is written, the other when Dagster's index of events is.

        Looks at nothing but sizes and times of files.
        """
        return database_state(self.market.target_database), file_state(self.folder / "history/runs/index.db")

    def disagreeing_hours(self, instance: dg.DagsterInstance) -> set[str]:
        """The partition keys that either the table or Dagster has, but not both."""
        return self._stored_keys() ^ instance.get_materialized_partitions(self.features)

    def require_settled(self, instance: dg.DagsterInstance, bars: bool = True) -> None:
        """Dagster shows what the table holds, no run seems to be going on, no pool slot is held.

        bars: whether Dagster must show the bars of the stored hours, too; it need not while they disagree with OHLCV.
        """
        disagreeing = self.disagreeing_hours(instance)
        assert not disagreeing, f"Dagster and the table disagree on {len(disagreeing)} hours"
        stored_keys = self._stored_keys()
        for timeframe in self.market.bar_timeframes if bars else ():
            lacking = stored_keys - instance.get_materialized_partitions(bars_key(self.market, timeframe))
            assert not lacking, f"Dagster shows the {timeframe} bars of {len(lacking)} stored hours as missing"
        left_over = [run.run_id for run in instance.get_runs(dg.RunsFilter(statuses=ON_THEIR_WAY))]
        assert not left_over, f"runs seem to be going on: {left_over}"
        holders = instance.event_log_storage.get_concurrency_run_ids()
        assert not holders, f"runs hold a pool slot: {holders}"

    def require_complete(self, instance: dg.DagsterInstance, reference: pd.Series) -> None:
        """The table is the reference, text by hour, and all is settled."""
        rows = self.rows()
        require_whole(rows, reference)
        missing = reference.index.difference(rows.index)
        assert missing.empty, f"{len(missing)} rows are missing, {missing[0]} .. {missing[-1]}"
        self.require_settled(instance)

    def _stored_keys(self) -> set[str]:
        return set(partition_keys(pd.DatetimeIndex(self.rows().index)))


def new_scene(folder: Path, ohlcv: pd.DataFrame, base_hours: int, timeframes: Sequence[str]) -> Scene:
    """A scene in a new folder. ohlcv: rows x (timestamp, open, high, low, close, volume)."""
    new_home(folder)
    put_ohlcv(folder / "ohlcv.duckdb", ohlcv)
    feature_set = {"key": "short", "base_hours": base_hours, "timeframes": list(timeframes)}
    first_hour = ohlcv["timestamp"].iloc[0]
    return Scene(folder, small_market(folder, name=TABLE, first_hour=first_hour, feature_sets=[feature_set]))


def give_up_silent_runs(instance: dg.DagsterInstance) -> list[str]:
    """End the runs that were killed before their first event, which is not done until they have long been silent."""
    return end_orphans(instance, now=pd.Timestamp.now(tz="UTC").tz_localize(None) + SILENCE)


def require_kept(before: pd.Index, after: pd.Index) -> None:
    """Every hour that was stored is stored still."""
    lost = before.difference(after)
    assert lost.empty, f"{len(lost)} stored rows are lost, {lost[0]} .. {lost[-1]}"


def require_whole(rows: pd.Series, reference: pd.Series) -> None:
    """Every row is, byte for byte, that of its hour in the reference."""
    unknown = rows.index.difference(reference.index)
    assert unknown.empty, f"{len(unknown)} rows of hours without one in the reference, {unknown[0]} .. {unknown[-1]}"
    differing = rows.index[(rows != reference[rows.index]).to_numpy()]
    assert differing.empty, f"{len(differing)} rows differ from the reference, {differing[0]} .. {differing[-1]}"
