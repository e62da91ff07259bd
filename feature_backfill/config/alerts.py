"""alerts.yaml of the configs folder: who is told when the state of a market changes.

One file for all markets, because a message must also leave when the YAML of a market is broken, and because the
addresses, which are secrets, then have one place.
"""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_core import ErrorDetails

from feature_backfill.config.fields import Name, expanded
from feature_backfill.config.files import yaml_fields
from feature_backfill.config.markets import configs_folder
from feature_backfill.errors import UserError

PRINT = "print"
"""The address of a target that prints its messages."""


def _address(text: Any) -> str:
    """The address with its environment variables. No message may quote it: it is a secret."""
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"an address is text: one of Apprise's, such as tgram://${{TOKEN}}/${{CHAT}}, or {PRINT}")
    return expanded(text.strip())


class _Schema(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AlertTarget(_Schema):
    """Somebody who is told. url: an address as Apprise takes it, or "print". markets: which are told of; none: all."""

    name: Name
    url: Annotated[SecretStr, BeforeValidator(_address)]
    markets: tuple[Name, ...] = ()

    def wants(self, market: str) -> bool:
        """Whether the target is told of a market."""
        return not self.markets or market in self.markets


class Alerts(_Schema):
    """Who is told, and when a market is silent.

    hours_without_row: so many closed hours, or more, without a row of a feature set are told; None: they never are.
    """

    targets: Annotated[tuple[AlertTarget, ...], Field(min_length=1)]
    hours_without_row: Annotated[int, Field(ge=1, strict=True)] | None = 3

    @model_validator(mode="after")
    def _names_differ(self) -> "Alerts":
        names = [target.name for target in self.targets]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"targets: the name {', '.join(repeated)} appears twice; rename all but one")
        return self


def read_alerts(folder: Path | None = None) -> Alerts | None:
    """What alerts.yaml (or .yml) of a folder says, by default of the configs folder; None if there is no such file.

    Raises UserError that names the file and the field, and never quotes an address.
    """
    folder = configs_folder() if folder is None else folder
    for path in (folder / "alerts.yaml", folder / "alerts.yml"):
        if path.exists():
            try:
                return Alerts.model_validate(yaml_fields(path, Alerts, secret=True))
            except ValidationError as error:
                raise UserError(f"{path}: {'; '.join(map(_described, error.errors(include_input=False)))}") from None
    return None


def _described(error: ErrorDetails) -> str:
    place = ".".join(map(str, error["loc"]))
    message = error["msg"].removeprefix("Value error, ").replace("tuple", "list")
    if error["type"] == "extra_forbidden":
        model = AlertTarget if len(error["loc"]) > 1 else Alerts
        message = f"unknown field; allowed are {', '.join(model.model_fields)}"
    return f"{place}: {message}" if place else message
