"""What Dagster's launchpads open with, and which run config they accept."""

import pytest
import yaml
from dagster._core.test_utils import in_process_test_workspace
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster_graphql.test.utils import execute_dagster_graphql

from feature_backfill_tests.markets import configure, small_market
from feature_backfill_tests.ui.server import LOCATION, REPOSITORY

OPTIONS = {
    "small__short": {"small__features__short": {"at_most": 0, "overwrite": False, "stale": False}},
    "plan": {"plan_op": {"market": "", "feature_key": "", "start": "", "end": "", "overwrite": False}},
    "history": {"history_op": {"markets": [], "since": ""}},
    "repair": {"repair_op": {"markets": [], "dry_run": False}},
    "small__import_files": {"small__import": {"files": []}},
    "compact_records": {"compact_records_op": {"dry_run": False}},
    "fetched__fetch": {"fetched__fetch_op": {"since": "", "awaited": ""}},
    "small__report": {"small__report_op": {"days": 30, "features": []}},
    "small__checks": {"small__features__short_checks": {"hours": None, "seed": None}},
}

QUERY = """
query ($job: PipelineSelector!, $config: RunConfigData!) {
  pipelineOrError(params: $job) { ... on Pipeline { presets { runConfigYaml } } }
  runConfigSchemaOrError(selector: $job) {
    ... on RunConfigSchema { rootDefaultYaml isRunConfigValid(runConfigData: $config) { __typename } }
  }
}"""


@pytest.fixture(scope="module")
def launchpad(module_instance, tmp_path_factory):
    """Asks the webserver about the launchpad of a job or, given assets, of these."""
    folder = tmp_path_factory.mktemp("market")
    source = {"database": "ohlcv.duckdb", "table": "ohlcv_small_1h", "folder": "files"}
    configure(small_market(folder, source=source), folder)
    exchange = {"database": "ohlcv.duckdb", "table": "fetched", "exchange": "binance", "symbol": "BTC/USDT"}
    configure(small_market(folder, name="fetched", source=exchange, target_database="fetched.duckdb"), folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FEATURE_BACKFILL_CONFIGS", str(folder))
        with in_process_test_workspace(module_instance, LoadableTargetOrigin(module_name=LOCATION)) as workspace:
            (location,) = workspace.code_location_names
            repository = {**REPOSITORY, "repositoryLocationName": location}

            def ask(job, assets=None, config=None):
                selector = {**repository, "pipelineName": job, "assetSelection": assets}
                result = execute_dagster_graphql(workspace, QUERY, {"job": selector, "config": config or {}})
                assert not result.errors
                return result.data

            yield ask


def opens_with(answer):
    """What the editor shows at first: the preset of the job or, without one, the defaults of its config."""
    texts = [preset["runConfigYaml"] for preset in answer["pipelineOrError"]["presets"]]
    return yaml.safe_load((texts or [answer["runConfigSchemaOrError"]["rootDefaultYaml"]])[0])


@pytest.mark.parametrize("job", OPTIONS)
def test_the_launchpad_of_a_job_opens_with_its_options_and_nothing_else(launchpad, job):
    assert opens_with(launchpad(job)) == {"ops": {op: {"config": config} for op, config in OPTIONS[job].items()}}


def test_the_launchpad_of_an_asset_opens_with_its_options_and_nothing_else(launchpad):
    opened = opens_with(launchpad("__ASSET_JOB", [{"path": ["small", "features", "short"]}]))
    # Dagster adds an empty section, in which an operator may configure the resources of other jobs.
    assert opened.pop("resources") == {}
    assert opened == {"ops": {op: {"config": config} for op, config in OPTIONS["small__short"].items()}}
