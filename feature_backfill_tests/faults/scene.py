"""A market in a folder, of which some hours are stored, and what must hold of it after a fault."""

import re
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pandas as pd

from feature_backfill.assets.names import features_key
from feature_backfill.config import Market
from feature_backfill.hours import HOUR, partition_keys
from feature_backfill_tests.faults.driver import Command, Fault
from feature_backfill_tests.markets import FIRST, GAP, TABLE, small_market, stored

STORED_FIRST, STORED_LAST = FIRST + 47 * HOUR, FIRST + 76 * HOUR
LAST = FIRST + 147 * HOUR
assert LAST < GAP
FLAGS = ["--duckdb", "ohlcv.duckdb", "--feat-duckdb", "features.duckdb", "--table", TABLE, "--feature-key", "short"]
FLAGS += ["--base-hours", "48", "--timeframes", "1H", "4H"]


@dataclass(frozen=True)
class Scene:
    """folder: where all is; reference: the JSON of every hour up to LAST, from a run that nothing befell."""

    folder: Path
    reference: pd.Series

    @staticmethod
    def run_some() -> list[str]:
        """The run that stores the first hours."""
        return ["run", *FLAGS, "--start", str(STORED_FIRST), "--end", str(STORED_LAST)]

    @staticmethod
    def run_all() -> list[str]:
        """The run that stores all hours up to LAST."""
        return ["run", *FLAGS, "--start", str(STORED_FIRST), "--end", str(LAST)]

    @property
    def market(self) -> Market:
        """As the flags describe it."""
        return small_market(self.folder, name=TABLE)

    def command(self, *faults: Fault) -> Command:
        """Begin the run over all hours, with faults."""
        return Command(self.folder, self.run_all(), *faults)

    def rerun(self) -> int:
        """The number of hours that the run over all hours computes now; nothing befalls it."""
        code, said = self.command().ended()
        assert code == 0, said
        computed = re.search(r"computed (\d+) hours", said)
        return int(computed[1]) if computed else 0

    def repair(self) -> None:
        """The repair."""
        code, said = Command(self.folder, ["repair", *FLAGS]).ended()
        assert code == 0, said

    def stored(self) -> pd.DataFrame:
        """Text and time of the stored rows, by hour."""
        return stored(self.market).set_index("ts")

    def rows(self) -> pd.Series:
        """The stored JSON by hour."""
        return self.stored()["features"]

    def require_kept_and_whole(self, before: pd.DataFrame) -> None:
        """Every row of before is there as it was, and every row there is that of the reference."""
        after = self.stored()
        pd.testing.assert_frame_equal(after.loc[before.index], before)
        assert after["features"].equals(self.reference[after.index].rename("features"))

    def require_complete(self, instance: dg.DagsterInstance) -> None:
        """The table is that of the reference, Dagster shows just its hours, no run is going, no slot is held."""
        rows = self.rows()
        assert rows.equals(self.reference)
        market = self.market
        shown = instance.get_materialized_partitions(features_key(market, market.feature_set("short")))
        assert shown == set(partition_keys(pd.DatetimeIndex(rows.index)))
        assert {run.status for run in instance.get_runs()} <= {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE}
        assert instance.event_log_storage.get_concurrency_run_ids() == set()
