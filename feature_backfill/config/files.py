"""Reading a market from a YAML file."""

import dataclasses
import reprlib
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from feature_backfill.config.lake import Lake
from feature_backfill.config.schema import FeatureSet, HourlySchedule, KnownGap, Market
from feature_backfill.config.sources import SOURCES, ColumnRules
from feature_backfill.config.target import TARGET_FIELDS
from feature_backfill.errors import UserError

try:
    from yaml import CSafeLoader as SafeLoader
except ImportError:  # a PyYAML that was built without libyaml takes three times as long
    from yaml import SafeLoader  # type: ignore[assignment]


def load_market(path: Path) -> Market:
    """The market that a YAML file describes. Raises UserError, as market_from does."""
    return market_from(yaml_fields(path, Market), path.parent, str(path))


def yaml_fields(path: Path, model: type[BaseModel], secret: bool = False) -> dict[str, Any]:
    """The fields of a YAML file that is to describe a model. Raises UserError if it is no mapping of fields.

    secret: whether the message must quote nothing of the file.
    """
    try:
        fields = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: bytes that are not UTF-8, month 13
        if secret:
            mark = getattr(error, "problem_mark", None)
            raise UserError(f"{path} is not YAML{'' if mark is None else f', in line {mark.line + 1}'}") from None
        reason = " ".join(str(error).split()).replace(' in "<unicode string>"', "")
        raise UserError(f"{path} is not YAML: {reason}") from error
    if not isinstance(fields, dict):
        raise UserError(f"{path}: expected a mapping with the fields {', '.join(model.model_fields)}")
    return fields


def market_from(fields: dict[str, Any], folder: Path, origin: str) -> Market:
    """The market that fields describe. Paths in them are relative to `folder`.

    Raises UserError that names the origin, the field and what is allowed there.
    """
    try:
        market = Market.model_validate(fields, context={"folder": folder})
    except ValidationError as error:
        raise UserError(f"{origin}: {'; '.join(map(_described, error.errors()))}") from error
    for feature_set in market.feature_sets:
        try:
            _ = feature_set.names, market.columns_of(feature_set)
        except UserError as error:
            raise UserError(f"{origin}: {error}") from error
    return market


class _Loader(SafeLoader):
    """Reads plain types only, and refuses a field that appears twice: PyYAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for name in names:
            if names.count(name) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"field {name} appears twice", node.start_mark)
        return super().construct_mapping(node, deep)


def _described(error: ErrorDetails) -> str:
    """One validation error as `field: what is wrong`; for an unknown field, with the fields that are allowed there."""
    location = error["loc"]
    if location[:1] in (("source",), ("target",)):  # the tag of the kind is not in the YAML
        location = location[:1] + location[2:]
    if location == ("target",) and error["type"] == "missing":
        return "target_database: Field required, a DuckDB file; or target, for a lake"
    place = ".".join(str(part) for part in location)
    message = error["msg"].removeprefix("Value error, ").replace("tuple", "list")
    if error["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"{place}: unknown field; allowed are {', '.join(_fields_at(error['loc']))}"
    got = f", got {reprlib.repr(error['input'])}" if error["type"] not in ("missing", "value_error") else ""
    return f"{place}: {message}{got}" if place else message


def _fields_at(location: tuple[str | int, ...]) -> list[str]:
    """The fields that are allowed beside the one at a location."""
    if location[0] == "source" and "columns" in location[:-1]:
        return list(ColumnRules.model_fields)
    if location[0] == "target" and len(location) > 1:
        return [field.name for field in dataclasses.fields(Lake)]
    if location[0] == "source":
        return list(SOURCES[str(location[1])].model_fields)
    nested: dict[str, type[BaseModel]] = {
        "feature_sets": FeatureSet,
        "schedule": HourlySchedule,
        "known_gaps": KnownGap,
    }
    model = nested.get(str(location[0]), Market) if len(location) > 1 else Market
    return [name for field in model.model_fields for name in (TARGET_FIELDS if field == "target" else (field,))]
