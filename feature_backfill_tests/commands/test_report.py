"""`feature-backfill report` on a market of configs/."""

import subprocess
import sys

import pytest

from feature_backfill.cli import main
from feature_backfill.errors import BAD_ARGUMENTS, DONE
from feature_backfill.hours import HOUR
from feature_backfill_tests.commands.calls import run
from feature_backfill_tests.markets import FIRST, configure, small_market, window


@pytest.fixture
def configured(market, tmp_path, monkeypatch, capsys):
    """The small market in configs/, with some stored hours."""
    configure(market, tmp_path / "configs")
    monkeypatch.setenv("FEATURE_BACKFILL_CONFIGS", str(tmp_path / "configs"))
    return tmp_path


def test_it_writes_a_file_and_says_where(configured, capsys):
    assert run(*window(FIRST, FIRST + 99 * HOUR), where=()) == DONE
    capsys.readouterr()
    assert (
        main(["report", "small", "--features", "close_rsi_14_1H", "log_close_4H", "--out", "out/r.html"])
        == BAD_ARGUMENTS
    )
    assert f"no folder {configured / 'out'} for the report; create it" in capsys.readouterr().err
    (configured / "out").mkdir()
    assert main(["report", "small", "--features", "close_rsi_14_1H", "log_close_4H", "--out", "out/r.html"]) == DONE
    said = capsys.readouterr().out
    file = configured / "out" / "r.html"
    assert said.startswith(f"{file}: small, short, 2025-01-01 00:00 .. 2025-01-20 23:00, 480 hours: 53 stored, ")
    text = file.read_text()
    assert "<title>small, short</title>" in text
    assert '"log_close_4H"' in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nobody"], "no market nobody in configs/"),
        (["small", "--feature-key", "other"], "market small has no feature set 'other'; it has short"),
        (["small", "--days", "0"], "--days 0: give at least 1"),
        (["small"], "nothing is stored under short"),
    ],
)
def test_what_is_wrong_is_one_line(configured, capsys, arguments, said):
    assert main(["report", *arguments]) == BAD_ARGUMENTS
    assert said in capsys.readouterr().err
    assert not (configured / "report.html").exists()


def test_with_several_keys_one_must_be_named(tmp_path, monkeypatch, capsys):
    keys = [{"key": key, "base_hours": 48, "timeframes": ["1H"]} for key in ("a", "b")]
    configure(small_market(tmp_path, feature_sets=keys), tmp_path / "configs")
    monkeypatch.setenv("FEATURE_BACKFILL_CONFIGS", str(tmp_path / "configs"))
    assert main(["report", "small"]) == BAD_ARGUMENTS
    assert "market small has the feature keys a, b; name one with --feature-key" in capsys.readouterr().err


def test_without_plotly_it_says_what_to_install(configured):
    without = (
        "import sys; sys.modules['plotly'] = None\n"
        "from feature_backfill.cli import main; sys.exit(main(['report', 'small']))"
    )
    done = subprocess.run([sys.executable, "-c", without], capture_output=True, text=True, check=False)
    assert done.returncode == BAD_ARGUMENTS
    assert "a report needs plotly: install it with pip install 'feature-backfill[report]'" in done.stderr
