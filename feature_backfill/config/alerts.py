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

_MEANT = {
    "targets": "a list of at least one target, such as {name: terminal, url: print}",
    "hours_without_row": "a whole number of hours from 1 on, or null for never",
}


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
    alerts, refused = usable_alerts(folder)
    if refused:
        raise UserError(refused)
    return alerts


def usable_alerts(folder: Path | None = None) -> tuple[Alerts | None, str]:
    """As read_alerts, without the targets that cannot be used, and what is wrong with these; "" if nothing is.

    Raises UserError if no target can be used, or if something else is wrong.
    """
    folder = configs_folder() if folder is None else folder
    for path in (folder / "alerts.yaml", folder / "alerts.yml"):
        if path.exists():
            fields = yaml_fields(path, Alerts, secret=True)
            usable, problems = _usable_targets(fields.get("targets"))
            refused = f"{path}: {'; '.join(problems)}"
            if problems and not usable:
                raise UserError(refused)
            try:
                alerts = Alerts.model_validate(fields if usable is None else {**fields, "targets": usable})
            except ValidationError as error:
                raise UserError(f"{path}: {'; '.join([*problems, *_problems(error)])}") from None
            return alerts, refused if problems else ""
    return None, ""


def _usable_targets(targets: Any) -> tuple[list[Any] | None, list[str]]:
    """Those of the targets that can be used, None if they are no list; and what is wrong with the others."""
    if not isinstance(targets, list):
        return None, []
    usable, problems = [], []
    for position, target in enumerate(targets):
        try:
            AlertTarget.model_validate(target)
            usable.append(target)
        except ValidationError as error:
            problems += _problems(error, "targets", position)
    return usable, problems


def _problems(error: ValidationError, *place: str | int) -> list[str]:
    """What is wrong, each with the field. place: of what was validated."""
    return [_described(place, each) for each in error.errors(include_input=False)]


def _described(above: tuple[str | int, ...], error: ErrorDetails) -> str:
    location = (*above, *error["loc"])
    place = ".".join(map(str, location))
    message = error["msg"].removeprefix("Value error, ").replace("tuple", "list")
    if place in _MEANT:
        message = f"give {_MEANT[place]}"
    if error["type"] == "extra_forbidden":
        model = AlertTarget if len(location) > 1 else Alerts
        message = f"unknown field; allowed are {', '.join(model.model_fields)}"
    return f"{place}: {message}" if place else message
