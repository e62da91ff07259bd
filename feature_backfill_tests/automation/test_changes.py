"""What a sensor remembers of the files of a folder."""

import pytest

from feature_backfill.automation.changes import RECENT, KnownFiles

MANY = {f"{number:05}.csv": f"100 {number + 1}" for number in range(10_000)}
"""Files and their states. The greater the number, the later the file was modified."""

OLD, NEW = "00000.csv", "09999.csv"
OTHERS = dict(list(MANY.items())[:-RECENT])


def without(name):
    return {other: state for other, state in MANY.items() if other != name}


CASES = {
    "nothing": (MANY, {}),
    "a new file": ({**MANY, "new.csv": "7 20000"}, {"new.csv": "7 20000"}),
    "a recent file grew": ({**MANY, NEW: "101 20000"}, {NEW: "101 20000"}),
    "a recent file is gone": (without(NEW), {}),
    "an old file was written": ({**MANY, OLD: "101 20000"}, {**OTHERS, OLD: "101 20000"}),
    "an old file was moved in": ({**MANY, "moved.csv": "7 5"}, {**OTHERS, "moved.csv": "7 5"}),
    "an old file was replaced": ({**MANY, OLD: "101 1"}, {**OTHERS, OLD: "101 1"}),
    "an old file is gone": (without(OLD), {name: state for name, state in OTHERS.items() if name != OLD}),
    "one file is left": ({NEW: MANY[NEW]}, {}),
}
"""What happened; the files that are there then, and those that count as changed."""


@pytest.mark.parametrize("happened", CASES)
def test_what_changed_is_found_among_many_files_with_a_short_memory(happened):
    present, changed = CASES[happened]
    known = KnownFiles.of(MANY)
    assert known.changed(present) == changed
    assert len(known.model_dump_json()) < 500


@pytest.mark.parametrize("count", [0, 1, RECENT, RECENT + 1])
def test_every_file_is_new_at_first_and_none_once_it_is_known(count):
    files = dict(list(MANY.items())[:count])
    assert KnownFiles().changed(files) == files
    assert KnownFiles.of(files).changed(files) == {}


def test_files_that_were_all_modified_at_one_time_are_told_from_a_new_one():
    files = dict.fromkeys(MANY, "100 5")
    assert KnownFiles.of(files).changed({**files, "new.csv": "100 6"}) == {"new.csv": "100 6"}
