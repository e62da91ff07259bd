"""What the shell gets for an unfinished command, asked as argcomplete's lines for bash and zsh ask."""

import os
import subprocess
import sys

import pytest

from feature_backfill_tests.markets import configure, small_market


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("feature-backfill stat", {"status"}),
        ("feature-backfill status s", {"small"}),
        ("feature-backfill report s", {"small"}),
        ("feature-backfill fetch ", {"small", "--since", "-h", "--help"}),
        ("feature-backfill check --market ", {"small"}),
        ("feature-backfill export x.parquet --feature-key ", {"short"}),
        ("feature-backfill report small --feature-key s", {"short"}),
        ("feature-backfill report other --feature-key ", set()),
        ("feature-backfill maintain s", {"small"}),
        ("feature-backfill keys --market ", {"small"}),
    ],
)
def test_completion(tmp_path, line, words):
    configure(small_market(tmp_path), tmp_path / "configs")
    asked = {"_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\n", "COMP_LINE": line, "COMP_POINT": str(len(line))}
    code = "import os; os.dup2(1, 8); from feature_backfill.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **asked}, cwd=tmp_path, capture_output=True, text=True
    )
    assert {word.strip() for word in done.stdout.splitlines()} == words, done.stderr
