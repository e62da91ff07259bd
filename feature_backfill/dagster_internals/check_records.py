"""What the last checks found, read from the file of Dagster's SQLite event log: Dagster takes seconds to import.

Rests on these facts of Dagster 1.13.27, none of them public: the event log over all runs is the SQLite file
`history/runs/index.db` of the instance's folder; its table `asset_keys` holds the last materialization of each asset,
and `asset_check_executions` the result of each check of each run, both as JSON. `dagster.yaml` names another event log
under `storage` or, with a class, under `event_log_storage`, which has the last word.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

INDEX = Path("history", "runs", "index.db")


SETTINGS = "dagster.yaml"


def other_event_log(home: Path) -> str | None:
    """Why the event log of a Dagster home is not the file INDEX in it; None if it is, as far as dagster.yaml says."""
    file = home / SETTINGS
    if not file.exists():
        return None
    try:
        fields = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
        if not isinstance(fields, dict):
            raise ValueError("it is no mapping of fields")
        log, storage = fields.get("event_log_storage"), fields.get("storage")
        places = [*dict(storage or {}), *([dict(log)["class"]] if log else [])]
    except (OSError, ValueError, TypeError, LookupError, yaml.YAMLError) as error:
        return f"{file} cannot be read: {' '.join(str(error).split())}"
    elsewhere = [str(place) for place in places[-1:] if "sqlite" not in str(place).lower()]
    return f"by {file}, Dagster keeps its records in {elsewhere[0]}; look at the UI" if elsewhere else None


@dataclass(frozen=True)
class LastChecks:
    """What the checks of an asset found when all of them were last made.

    made: when, UTC-naive. failed, warned: the names of the checks that found an error or gave a warning; a check that
    could not be made is not named. unmade: how many of those there were. numbers: what the checks counted, by name.
    """

    made: pd.Timestamp
    failed: tuple[str, ...]
    warned: tuple[str, ...]
    unmade: int
    numbers: Mapping[str, float]


def last_checks(home: Path, ending: str) -> dict[tuple[str, ...], LastChecks]:
    """The last checks by the path of the asset that carries them.

    home: Dagster's home, absolute. ending: of the names of these assets.

    Raises sqlite3.Error if the file is missing or cannot be read.
    """
    with closing(sqlite3.connect(f"{(home / INDEX).as_uri()}?mode=ro", uri=True)) as connection:
        return dict(_last_checks(connection, ending))


def _last_checks(connection: sqlite3.Connection, ending: str) -> Iterator[tuple[tuple[str, ...], LastChecks]]:
    rows = connection.execute("SELECT asset_key, last_run_id, last_materialization FROM asset_keys").fetchall()
    for asset, run, text in rows:
        path = tuple(json.loads(asset))
        if not text or not path[-1].endswith(ending):
            continue
        entry = json.loads(text)["event_log_entry"]
        numbers = _numbers(entry["dagster_event"]["event_specific_data"]["materialization"]["metadata_entries"])
        names = sorted({label.partition("/")[0] for label in numbers if "/" in label})
        bad = list(_bad(connection, asset, run, names)) if numbers.get("errors") or numbers.get("warnings") else []
        failed = tuple(name for name, severity in bad if severity == "AssetCheckSeverity.ERROR")
        yield (
            path,
            LastChecks(
                made=pd.Timestamp(entry["timestamp"], unit="s"),
                failed=failed,
                warned=tuple(name for name, _ in bad if name not in failed),
                unmade=int(numbers.get("errors", 0)) - len(failed),
                numbers=numbers,
            ),
        )


def _numbers(entries: list[dict[str, Any]]) -> dict[str, float]:
    """The numbers in the metadata of a materialization, by label."""
    values = {entry["label"]: entry["entry_data"].get("value") for entry in entries}
    return {label: value for label, value in values.items() if isinstance(value, int | float)}


def _bad(connection: sqlite3.Connection, asset: str, run: str, names: list[str]) -> Iterator[tuple[str, str]]:
    """The name and the severity of each of an asset's checks that did not pass in a run."""
    results = connection.execute(
        "SELECT check_name, evaluation_event FROM asset_check_executions"
        f" WHERE asset_key = ? AND run_id = ? AND check_name IN ({', '.join('?' * len(names))})",
        [asset, run, *names],
    )
    for name, text in results:
        evaluation = json.loads(text)["dagster_event"]["event_specific_data"]
        if evaluation.get("success") is False:
            yield name, evaluation["severity"]["__enum__"]
