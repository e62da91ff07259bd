"""Texts that sensors keep in the instance, apart from their cursors, which are stored only when a tick ends.

Dagster stores a sensor's cursor with every tick, and keeps the ticks for days. What is remembered of hundreds of
markets would take gigabytes there.

Rests on two facts of Dagster 1.13.27 that are not public: the daemon's cursor storage keeps any text under any key; of
several texts, on SQLite, it loses those of new keys if another key has a text already.
"""

from collections.abc import Iterable, Mapping

import dagster as dg

_PREFIX = "feature_backfill/notes/"


def read_notes(instance: dg.DagsterInstance, names: Iterable[str]) -> dict[str, str]:
    """The texts that are kept under names; a name without one is left out."""
    found = instance.daemon_cursor_storage.get_cursor_values({_PREFIX + name for name in names})
    return {key.removeprefix(_PREFIX): text for key, text in found.items()}


def write_notes(instance: dg.DagsterInstance, notes: Mapping[str, str]) -> None:
    """Keep texts under names."""
    for name, text in notes.items():
        instance.daemon_cursor_storage.set_cursor_values({_PREFIX + name: text})
