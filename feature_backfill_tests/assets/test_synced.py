"""What Dagster's pages call unsynced: hours that rest on OHLCV which has changed since, and no others."""

import dagster as dg
import pytest
from dagster._core.test_utils import in_process_test_workspace
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster_graphql.test.utils import execute_dagster_graphql

from feature_backfill.assets.ohlcv import report_ohlcv
from feature_backfill.automation.jobs import job_name
from feature_backfill.hours import HOUR, hour_range, partition_key
from feature_backfill_tests.markets import GAP, TABLE, configure, execute, small_market
from feature_backfill_tests.postgres import ON_EITHER
from feature_backfill_tests.runs import run_range

FIRST, LAST = GAP - 30 * HOUR, GAP - 10 * HOUR
CORRECTED = FIRST + 8 * HOUR
SETS = [{"key": key, "base_hours": 48, "timeframes": ["1H", "4H"]} for key in ("one", "two")]
STATUS = """
query ($key: AssetKeyInput!, $hour: String!) {
  assetNodeOrError(assetKey: $key) { ... on AssetNode { staleStatus(partition: $hour) } }
}"""


pytestmark = ON_EITHER


@pytest.fixture
def market(tmp_path, monkeypatch):
    market = small_market(tmp_path, feature_sets=SETS)
    configure(market, tmp_path / "configs")
    monkeypatch.setenv("FEATURE_BACKFILL_CONFIGS", str(tmp_path / "configs"))
    return market


def statuses(instance, hour):
    """Of the bars and of both feature sets."""
    origin = LoadableTargetOrigin(module_name="feature_backfill.definitions")
    with in_process_test_workspace(instance, origin) as workspace:
        answers = [
            execute_dagster_graphql(
                workspace, STATUS, {"key": {"path": ["small", *path]}, "hour": partition_key(hour)}
            ).data
            for path in (["bars_4h"], ["features", "one"], ["features", "two"])
        ]
    return [answer["assetNodeOrError"]["staleStatus"] for answer in answers]


def run_both(instance, market, **options):
    report_ohlcv(instance, market, hour_range(FIRST, LAST))
    for feature_set in market.feature_sets:
        assert run_range(instance, market, FIRST, LAST, job=job_name(market, feature_set), **options).success


def correct(market):
    execute(market, f"UPDATE {TABLE} SET volume = volume * 2 WHERE timestamp = ?", CORRECTED)


def test_a_second_set_that_refreshes_the_same_bars_leaves_the_first_in_sync(instance, market):
    run_both(instance, market)
    assert statuses(instance, LAST) == ["FRESH"] * 3
    run_both(instance, market)
    assert statuses(instance, LAST) == ["FRESH"] * 3


def test_a_corrected_hour_is_unsynced_once_it_is_seen_and_in_sync_once_it_is_recomputed(instance, market):
    run_both(instance, market)
    correct(market)
    assert report_ohlcv(instance, market, hour_range(FIRST, LAST)) == 1
    assert report_ohlcv(instance, market, hour_range(FIRST, LAST)) == 0
    assert statuses(instance, CORRECTED) == ["STALE"] * 3
    assert statuses(instance, CORRECTED - HOUR) == ["FRESH"] * 3
    run_both(instance, market, tags={"feature_backfill/stale": "true"})
    for hour in (CORRECTED, LAST):
        assert statuses(instance, hour) == ["FRESH"] * 3


def test_kept_rows_that_are_stale_stay_unsynced(instance, market):
    run_both(instance, market)
    correct(market)
    run_both(instance, market)
    for hour in (CORRECTED, LAST):
        assert statuses(instance, hour) == ["FRESH", "STALE", "STALE"]


def test_a_corrected_hour_is_observed_with_its_new_version(instance, market):
    run_both(instance, market)
    correct(market)
    report_ohlcv(instance, market, hour_range(FIRST, LAST))
    (record,) = instance.fetch_observations(dg.AssetKey(["small", "ohlcv"]), limit=10).records
    assert record.partition_key == partition_key(CORRECTED)
    assert record.asset_observation.data_version
