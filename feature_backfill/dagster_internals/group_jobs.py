"""Asset jobs that look for their assets in one group only: those whose keys begin with the same part.

Dagster resolves each asset job among all assets of the code location, so that loading takes time that grows with the
product of both numbers. A market's assets rest on nothing outside the market. There is no public way to say so.

Rests on these facts of Dagster 1.13.27, none of them public: a repository calls `resolve` of an unresolved asset job
with its whole asset graph, and an `AssetGraph` is made of nodes and of the definitions of checks, by their keys.
"""

from collections import defaultdict
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from dagster import (
    AssetCheckKey,
    AssetKey,
    AssetsDefinition,
    AssetSelection,
    ExecutorDefinition,
    JobDefinition,
    ResourceDefinition,
)
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph, AssetNode
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition


class GroupJob(UnresolvedAssetJobDefinition):
    """An asset job of one group."""

    group: str

    def resolve(
        self,
        asset_graph: AssetGraph,
        default_executor_def: ExecutorDefinition | None = None,
        resource_defs: Mapping[str, ResourceDefinition] | None = None,
    ) -> JobDefinition:
        """The job, among the assets and checks of its group."""
        return super().resolve(_groups(asset_graph)[self.group], default_executor_def, resource_defs)


def define_group_job(group: str, name: str, selection: AssetSelection, **options: Any) -> GroupJob:
    """As `dagster.define_asset_job` does, with its options, for assets and checks whose keys begin with the group."""
    job = GroupJob(name, selection, **options)
    job.group = group
    return job


@lru_cache(maxsize=1)
def _groups(graph: AssetGraph) -> dict[str, AssetGraph]:
    """A graph in parts, by the first part of the keys."""
    nodes: dict[str, dict[AssetKey, AssetNode]] = defaultdict(dict)
    checks: dict[str, dict[AssetCheckKey, AssetsDefinition]] = defaultdict(dict)
    for key, node in graph._asset_nodes_by_key.items():
        nodes[key.path[0]][key] = node
    for check, definition in graph._assets_defs_by_check_key.items():
        checks[check.asset_key.path[0]][check] = definition
    return {group: AssetGraph(nodes[group], checks[group]) for group in nodes}
