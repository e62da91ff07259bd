"""The servers of a cluster, which the tests of a module share."""

import importlib.util
from collections.abc import Iterator

import pytest

from feature_backfill_tests.cluster.ray_nodes import RAY
from feature_backfill_tests.cluster.scene import BUCKET, Cluster
from feature_backfill_tests.object_store import object_store
from feature_backfill_tests.postgres import server_programs


@pytest.fixture(scope="module")
def cluster(tmp_path_factory) -> Iterator[Cluster]:
    """PostgreSQL, an S3-compatible store, a Ray head and two workers, and a DAGSTER_HOME for them."""
    missing = list(_missing())
    if missing:
        pytest.fail(f"no cluster without {' and '.join(missing)}", pytrace=False)
    with object_store(BUCKET), Cluster.started(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


def _missing() -> Iterator[str]:
    if server_programs() is None:
        yield "PostgreSQL's server programs (Debian: apt-get install postgresql)"
    packages = ("dagster_postgres", "dagster_ray", "ray", "moto")
    if not RAY.exists() or any(importlib.util.find_spec(name) is None for name in packages):
        yield "Ray and what belongs to it (pip install 'feature-backfill[cluster,lake-test]')"
