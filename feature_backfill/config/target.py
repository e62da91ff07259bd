"""Where a market's rows go: a DuckDB file or a lake, and the fields of its YAML that say so."""

from typing import Annotated, Any

from pydantic import Discriminator, Tag, ValidationInfo

from feature_backfill.config.fields import ConfigPath, resolved
from feature_backfill.config.lake import Lake

TARGET_FIELDS = ("target_database", "target")
"""The fields of a market's YAML of which one says where its rows go."""


def _kind_of_target(target: Any) -> str:
    return "lake" if isinstance(target, dict | Lake) else "file"


Target = Annotated[Annotated[ConfigPath, Tag("file")] | Annotated[Lake, Tag("lake")], Discriminator(_kind_of_target)]
"""What holds everything derived from OHLCV: a DuckDB file, or a schema of a lake."""


def with_one_target(fields: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
    """The fields of a market with `target`, whichever of TARGET_FIELDS was given.

    Raises ValueError if there are both, or if target_database is no path.
    """
    given = [name for name in TARGET_FIELDS if name in fields]
    if not given:
        return fields
    if len(given) > 1:
        raise ValueError("a market has either a target_database or a target; remove one of the two")
    target = fields[given[0]]
    if given == ["target_database"]:
        try:
            target = resolved(target, info)
        except ValueError as error:
            raise ValueError(f"target_database: {error}") from error
    elif isinstance(target, dict) and isinstance(fields.get("name"), str):
        target = {"schema": fields["name"], **target}
    rest = {name: value for name, value in fields.items() if name not in TARGET_FIELDS}
    return {**rest, "target": target}
