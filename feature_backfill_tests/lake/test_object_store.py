"""A lake whose Parquet files are in an S3-compatible store, on loopback."""

from dataclasses import replace

import pandas as pd
import pytest

from feature_backfill import read_features
from feature_backfill.automation.maintenance import maintain
from feature_backfill.errors import UserError
from feature_backfill.store.attached_lakes import detach_lake
from feature_backfill_tests.lake.rows import frame, write
from feature_backfill_tests.object_store import object_store

pytestmark = pytest.mark.lake


@pytest.fixture
def bucket():
    with object_store("market-data") as client:
        yield client


@pytest.fixture
def remote(lake):
    return replace(lake, data="s3://market-data/lake")


def test_rows_go_to_the_bucket_and_come_back(bucket, remote):
    write(remote, frame(40))
    write(remote, frame(30, seed=1))
    names = [each["Key"] for each in bucket.list_objects_v2(Bucket="market-data")["Contents"]]
    assert any(name.startswith("lake/btc/features/") and name.endswith(".parquet") for name in names)
    expected = pd.concat([frame(30, seed=1), frame(40)[30:]])
    pd.testing.assert_frame_equal(read_features(remote, "k"), expected, check_exact=True, check_freq=False)
    maintain(remote, keep_days=0)
    pd.testing.assert_frame_equal(read_features(remote, "k"), expected, check_exact=True, check_freq=False)


def test_a_store_without_keys_or_without_an_address_is_refused(bucket, remote, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "127.0.0.1:9000")
    with pytest.raises(UserError, match="AWS_ENDPOINT_URL is no address of a store"):
        write(remote, frame(1))
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(UserError, match="needs the environment variable AWS_SECRET_ACCESS_KEY"):
        write(remote, frame(1))


def test_a_store_that_takes_nothing_stores_nothing(bucket, remote, monkeypatch):
    write(remote, frame(40))
    detach_lake(remote)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(Exception, match="what was stored before is safe") as error:
        write(remote, frame(80, seed=1))
    assert "hidden" not in str(error.value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", bucket.meta.endpoint_url)
    detach_lake(remote)
    pd.testing.assert_frame_equal(read_features(remote, "k"), frame(40), check_exact=True, check_freq=False)
