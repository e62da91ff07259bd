"""What holds for any market with any faults, and for any way to split a backfill into runs."""

import random
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feature_backfill.assets import rows as rows_module
from feature_backfill.assets.decisions import plan_of
from feature_backfill.assets.progress import ProgressListener
from feature_backfill.automation.jobs import job_name, range_tags
from feature_backfill.checks import oracle
from feature_backfill.commands.shared.backfill import QUIET
from feature_backfill.definitions import build_definitions
from feature_backfill.engine.compute import compute_rows
from feature_backfill.hours import HOUR, hour_range
from feature_backfill.sources.synthetic import synthetic_ohlcv
from feature_backfill.store.database import connect
from feature_backfill.store.features import ensure_features_table, write_features
from feature_backfill.store.reading import read_features
from feature_backfill_tests.comparison import mismatches
from feature_backfill_tests.markets import FIRST, TABLE, execute, put_ohlcv, small_market, stored

HOURS = 130
BASE_HOURS = [5, 14, 24, 30]
TIMEFRAMES = [("1H",), ("1H", "4H"), ("2H", "3H")]


def faults(ohlcv, hour):
    """What may stand in the place of an hour's row."""
    row = ohlcv[ohlcv["timestamp"] == hour]
    return {
        "missing": row.iloc[:0],
        "NaN": row.assign(low=np.nan),
        "infinite": row.assign(volume=np.inf),
        "zero": row.assign(open=0.0),
        "negative": row.assign(close=-row["close"]),
        "high below low": row.assign(high=row["low"] - 1),
        "conflicting": pd.concat([row, row.assign(volume=row["volume"] + 1)]),
        "equal": pd.concat([row, row]),
        "off the hour": pd.concat([row, row.assign(timestamp=hour + pd.Timedelta(minutes=17))]),
        "shifted": row.assign(timestamp=hour + pd.Timedelta(minutes=17)),
    }


KINDS = sorted(faults(synthetic_ohlcv(FIRST, 1), FIRST))


@st.composite
def faulty_markets(draw):
    """Hourly rows in any order, with up to six faults."""
    ohlcv = synthetic_ohlcv(FIRST, HOURS, draw(st.integers(0, 999)))
    places = draw(st.dictionaries(st.integers(0, HOURS - 1), st.sampled_from(KINDS), max_size=6))
    for place, kind in places.items():
        hour = FIRST + place * HOUR
        ohlcv = pd.concat([ohlcv[ohlcv["timestamp"] != hour], faults(ohlcv, hour)[kind]])
    return ohlcv.sample(frac=1, random_state=draw(st.integers(0, 999))).reset_index(drop=True)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ohlcv=faulty_markets(), base_hours=st.sampled_from(BASE_HOURS), timeframes=st.sampled_from(TIMEFRAMES))
def test_what_is_stored_is_the_oracles_and_nothing_that_saw_a_fault(tmp_path_factory, ohlcv, base_hours, timeframes):
    folder = tmp_path_factory.mktemp("market")
    put_ohlcv(folder / "ohlcv.duckdb", ohlcv)
    market = small_market(
        folder, feature_sets=[{"key": "short", "base_hours": base_hours, "timeframes": list(timeframes)}]
    )
    feature_set = market.feature_sets[0]
    every = hour_range(FIRST, FIRST + (HOURS - 1) * HOUR)

    plan = plan_of(market, feature_set, every)
    result = compute_rows(plan.rows, every, feature_set.lookback, timeframes, {})
    with connect(market.target_database, read_only=False) as connection:
        ensure_features_table(connection)
        write_features(connection, "short", result.features)

    rows = oracle.hourly_rows(ohlcv)
    sound = [
        hour
        for hour in every
        if not isinstance(oracle.bars_of_hour(rows, hour.to_pydatetime(), base_hours, 0, timeframes), oracle.Skip)
    ]
    assert list(plan.compute) == sound
    assert list(stored(market)["ts"]) == sound
    if sound:
        some = sorted({*sound[::50], sound[-1]})
        expected = pd.DataFrame(
            [oracle.features_of_hour(rows, hour.to_pydatetime(), base_hours, 0, timeframes) for hour in some],
            index=pd.DatetimeIndex(some),
        )
        found = read_features(market.target_database, "short").loc[some]
        assert mismatches(found, expected.where(np.isfinite(expected)), ohlcv, base_hours) == []


class Interrupting(ProgressListener):
    """Breaks a run off when it has stored a number of chunks; None: never."""

    def __init__(self):
        self.chunks_left = None

    def stored(self, hours):
        if self.chunks_left is not None:
            self.chunks_left -= 1
            if self.chunks_left <= 0:
                raise KeyboardInterrupt


FIRST_ASKED, LAST_ASKED = FIRST + 10 * HOUR, FIRST + (HOURS - 1) * HOUR


class Backfill:
    """A market with a bad row, and runs of it."""

    def __init__(self, instance, folder):
        self.instance = instance
        self.market = small_market(
            folder, HOURS, feature_sets=[{"key": "short", "base_hours": 24, "timeframes": ["1H", "4H"]}]
        )
        execute(self.market, f"UPDATE {TABLE} SET high = low - 1 WHERE timestamp = ?", FIRST + 60 * HOUR)
        self.progress = Interrupting()
        name = job_name(self.market, self.market.feature_sets[0])
        self.job = build_definitions([self.market], self.progress).resolve_job_def(name)

    def run(self, first, last, chunks=None):
        """Whether the run of a range succeeded; it breaks off after so many chunks."""
        self.progress.chunks_left = chunks
        result = self.job.execute_in_process(
            instance=self.instance, run_config=QUIET, tags=range_tags(first, last), raise_on_error=False
        )
        return result.success

    def rows(self):
        return stored(self.market)[["ts", "features"]]


@pytest.fixture(scope="module")
def instance(module_instance):
    return module_instance


@pytest.fixture(scope="module")
def at_once(instance, tmp_path_factory):
    backfill = Backfill(instance, tmp_path_factory.mktemp("at_once"))
    assert backfill.run(FIRST_ASKED, LAST_ASKED)
    assert len(backfill.rows()) == HOURS - 23 - 24
    return backfill.rows()


@settings(max_examples=2, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cuts=st.sets(st.integers(11, HOURS - 1), min_size=1, max_size=2),
    order=st.randoms(use_true_random=False),
    broken_off=st.lists(st.sampled_from([None, 1, 2]), min_size=3, max_size=3),
)
def test_any_runs_in_any_order_end_in_the_table_of_one_run(
    tmp_path_factory, monkeypatch, instance, at_once, cuts, order: random.Random, broken_off
):
    monkeypatch.setattr(rows_module, "CHUNK_HOURS", 16)
    backfill = Backfill(instance, tmp_path_factory.mktemp("in_parts"))
    edges = [10, *sorted(cuts), HOURS]
    ranges = [(FIRST + start * HOUR, FIRST + (end - 1) * HOUR) for start, end in pairwise(edges)]
    order.shuffle(ranges)
    again = [part for part, chunks in zip(ranges, broken_off, strict=False) if not backfill.run(*part, chunks)]
    kept = backfill.rows()
    for part in again:
        assert backfill.run(*part)
    after = backfill.rows()
    pd.testing.assert_frame_equal(after, at_once)
    pd.testing.assert_frame_equal(after[after["ts"].isin(kept["ts"])].reset_index(drop=True), kept)
