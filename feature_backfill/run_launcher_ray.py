"""The launcher's public address: a `dagster.yaml` names the class under this module.

It must therefore stay importable from here, wherever it is built.
"""

from feature_backfill.errors import UserError

try:
    from feature_backfill.dagster_internals.ray_run_launcher import RayRunLauncher
except ModuleNotFoundError as error:
    if error.name not in ("dagster_ray", "ray"):
        raise
    raise UserError(
        "dagster.yaml executes runs on a Ray cluster, for which a package is missing: "
        "pip install 'feature-backfill[cluster]'"
    ) from error

__all__ = ["RayRunLauncher"]
