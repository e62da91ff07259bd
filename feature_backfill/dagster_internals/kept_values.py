"""A text that outlives the process, in the storage of Dagster's runs, where its daemons keep theirs.

The cursor of a sensor is stored only when its tick ends. What must not be done twice is better noted at once.

Rests on this fact of Dagster 1.13.27, which is not public: `daemon_cursor_storage` of an instance keeps texts by name.
"""

from dagster import DagsterInstance


def kept_value(instance: DagsterInstance, name: str) -> str | None:
    """The text that was kept under a name, None if there is none."""
    return instance.daemon_cursor_storage.get_cursor_values({name}).get(name)


def keep_value(instance: DagsterInstance, name: str, text: str) -> None:
    """Keep a text in place of the one under this name."""
    instance.daemon_cursor_storage.set_cursor_values({name: text})
