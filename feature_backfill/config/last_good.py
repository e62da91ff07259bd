"""Remembers what each market YAML last said while it could be used.

A file that is broken today says nothing of the assets that exist. What it said before does, so that they are not taken
for deleted.
"""

import hashlib
import json
from contextlib import suppress
from pathlib import Path

from feature_backfill.config.schema import Market
from feature_backfill.paths import written_whole


def remember(memory: Path, file: Path, market: Market) -> None:
    """Keep the market of a file in the folder `memory`, which is created. A folder that takes no file keeps nothing.

    Several processes may do so at a time: what is kept is replaced whole.
    """
    text = market.model_dump_json()
    place = _place(memory, file)
    if _text(place) == text:
        return
    with suppress(OSError):
        memory.mkdir(parents=True, exist_ok=True)
        with written_whole(place) as unfinished:
            unfinished.write_text(text, encoding="utf-8")


def remembered(memory: Path, file: Path) -> Market | None:
    """The market that was last kept for a file; None if there is none, or none that this version understands.

    Its feature lists are not read: they may be what is broken.
    """
    try:
        return Market.model_validate(json.loads(_text(_place(memory, file))))
    except ValueError:  # not JSON, or refused by the schema
        return None


def _place(memory: Path, file: Path) -> Path:
    return memory / f"{file.stem}.{hashlib.sha256(str(file).encode()).hexdigest()[:16]}.json"


def _text(place: Path) -> str:
    """What is kept at a place; empty if it cannot be read."""
    try:
        return place.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""
