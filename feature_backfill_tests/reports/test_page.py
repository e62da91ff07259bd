"""The file: everything in it, nothing that others could slip in, of bounded size."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from feature_backfill.checks.market import look_at
from feature_backfill.errors import UserError
from feature_backfill.hours import hour_range
from feature_backfill.reports.contents import Choice, contents_of
from feature_backfill.reports.coverage import Coverage
from feature_backfill.reports.drawings import histogram, overview, sparkline
from feature_backfill.reports.drift import feature_lines
from feature_backfill.reports.page import page_of, write_page
from feature_backfill_tests.markets import FIRST

HOSTILE = "</script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def contents(market):
    feature_set = market.feature_sets[0]
    return contents_of(market, feature_set, Choice(), look_at(market, feature_set))


def test_the_page_needs_nothing_from_elsewhere(contents):
    page = page_of(contents)
    assert page.startswith("<!DOCTYPE html>")
    assert "default-src 'none'" in page
    outside_scripts = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert outside_scripts.count("<section") == 6
    assert not re.search(r"\ssrc=|url\(|https?:", outside_scripts)
    assert page.count("<script") == 5  # Plotly, three figures, and what cannot be told in them


def test_names_and_texts_are_escaped(contents):
    line = replace(contents.lines[0], name=HOSTILE)
    checks = [(HOSTILE, contents.checks[0][1]._replace(description=HOSTILE))]
    candles = replace(contents.candles, features=contents.candles.features.set_axis([HOSTILE, *"xyz"], axis=1))
    correlations = pd.DataFrame({pd.Timestamp("2025-01-01"): [0.5]}, [HOSTILE])
    coverage = Coverage(
        contents.coverage.states, contents.coverage.reasons.map(lambda _: HOSTILE), contents.coverage.notes
    )
    page = page_of(
        replace(
            contents,
            lines=[line],
            checks=checks,
            candles=candles,
            correlations=correlations,
            coverage=coverage,
            summaries={HOSTILE: HOSTILE},
        )
    )
    assert HOSTILE not in page
    assert "<img" not in page.partition("</script>")[2]
    assert page.count("&lt;/script&gt;") >= 4


def test_a_page_of_years_has_a_bounded_size(contents):
    random = np.random.default_rng(1)
    hours = hour_range(FIRST, FIRST + pd.Timedelta(hours=5999))
    features = pd.DataFrame(random.standard_normal((6000, 440)), hours, dtype="float32")
    features.columns = [f"a_feature_of_some_length_{number}" for number in range(440)]
    states = pd.Series(random.integers(0, 5, len(hours) // 24).repeat(24), hours)
    reasons = pd.Series("a reason of some length " * 4, hours)
    candles = replace(
        contents.candles,
        bars=pd.DataFrame(random.random((1000, 5)), hours[:1000], contents.candles.bars.columns),
        features=features.iloc[:1000, :12],
    )
    months = pd.date_range("2024-01-01", periods=28, freq="MS")
    long = replace(
        contents,
        coverage=Coverage(states, reasons[states > 0], reasons[:0]),
        candles=candles,
        lines=feature_lines(features),
        correlations=pd.DataFrame(random.random((440, 28)), features.columns, months),
    )
    assert len(page_of(long).encode()) < 7e6


def test_what_cannot_be_compared_says_so(contents):
    page = page_of(contents)
    assert "No distribution is compared: that takes 168 values" in page
    assert "A PSI that exceeds it" not in page
    assert 'id="correlations"' in page
    without = page_of(replace(contents, correlations=pd.DataFrame()))
    assert "no month has 168 rows" in without
    assert 'id="correlations"' not in without.partition("</script>")[2]
    nothing = contents.candles.features.assign(**{contents.candles.features.columns[0]: np.nan})
    assert ": no value in these hours" in page_of(
        replace(contents, candles=replace(contents.candles, features=nothing))
    )


def test_a_row_of_an_hour_that_has_not_closed_is_told(contents):
    ahead = pd.DatetimeIndex(["2099-01-01"])
    page = page_of(replace(contents, standing=replace(contents.standing, ahead=ahead)))
    assert "1 row is of an hour that has not closed, the newest 2099-01-01 00:00" in page
    assert "not closed, the newest" not in page_of(contents)


def test_what_is_drawn_and_what_scrolls_has_a_name(contents):
    page = page_of(contents).rpartition("<header>")[2]
    assert page.count('role="group" aria-label=') == 2
    assert page.count('tabindex="0" role="region" aria-label=') == page.count('tabindex="0"') == 2
    assert page.count("<th ") == page.count("<th scope=")


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        write_page("page", tmp_path / "file" / "report.html")
    write_page("first", tmp_path / "new" / "report.html")
    write_page("second", tmp_path / "new" / "report.html")
    assert (tmp_path / "new" / "report.html").read_text() == "second"
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["report.html"]


def test_a_sparkline_is_broken_where_a_value_is_missing():
    drawn = str(sparkline(np.array([0, 1, np.nan, 2, np.nan])))
    assert drawn.count("M") == 2
    assert drawn.count("L") == 1
    assert "nan" not in str(sparkline(np.full(5, np.nan)))
    assert "nan" not in str(sparkline(np.full(5, 3.0)))


def test_a_histogram_without_values_is_empty():
    assert histogram(np.array([]), np.array([])) == ""


def test_the_picture_for_dagster_is_short_enough_to_be_shown_in_place():
    random = np.random.default_rng(2)
    colours = [["#3aa17e", "#e3a83c", "#d2525f"][at % 3] for at in range(30)]
    assert len(overview(50_000 + random.standard_normal(30) * 1000, colours)) <= 1_000
