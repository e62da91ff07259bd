"""docs/features.md: every feature with its formula, made from the declarations and docstrings of the feature functions.

Run `python -m feature_backfill.engine.reference > docs/features.md` after any change to them. With the names of modules
behind it, the command prints the page with the features of a user's own too.
"""

import inspect
import re
import sys
from itertools import groupby
from types import ModuleType

from feature_backfill.engine.catalog import Catalog, catalog_with
from feature_backfill.engine.feature import ALL_BARS, Feature, FeatureGroup
from feature_backfill.engine.lookbacks import Lookbacks
from feature_backfill.engine.timeframes import DEFAULT_TIMEFRAMES, HOURS_PER_BAR

DEFAULT_BASE_HOURS = 720

INTRODUCTION = """\
# Features

<!-- Generated: python -m feature_backfill.engine.reference > docs/features.md -->

{features} features are computed on the bars of each timeframe. In a row they are called `<feature>_<timeframe>`, for
example `close_rsi_14_4H`, and come timeframe by timeframe in the order of the numbers below. On the default timeframes
{timeframes} a row has {columns} values.

## Bars and lookbacks

**Hours.** An hourly row is stamped with its opening time in UTC. A target hour is the stamp of the newest row that its
features may see.

**Bars.** A bar of h hours is labelled with the stamp of its last row: label L covers the rows L-h+1 .. L. Labels are
the hours of the day that are multiples of h, so h must divide 24. The 1D bar labelled midnight of the 2nd therefore
covers the rows from 01:00 of the 1st to 00:00 of the 2nd. Open is that of the first row, high the highest, low the
lowest, close that of the last row, volume the sum.

**Complete bars.** The newest bar of a target hour is the newest one whose label is not after it. Rows after that label
count in no bar of the timeframe yet.

**Lookback.** A target hour looks back `base_hours` rows, its own included. Each timeframe keeps the newest
n = base_hours // h bars, at least one. A feature that needs more than n bars is NaN. The column *reads* says on how
many of the newest bars a feature depends; *all* is the whole lookback, so that its value changes with `base_hours`. The
default `base_hours` is {base_hours}:

| timeframe | n | NaN |
|---|---|---|
{kept}

**Partial oldest bar.** Unless the lookback begins where a bar does, its first rows are the end of a bar. That bar is
kept as it is: its close is right, but its open, high, low and volume cover only the rows within the lookback. It lacks
its first r - b - s rows, if that is positive, where r is the number of hours from the newest label to the target hour,
b is `buffer_hours` and s = base_hours - n h. With `buffer_hours: 23` it is whole in every timeframe. The column *oldest
bar* says when a feature reads open, high, low or volume of the oldest bar: never, always, or only if n is the number
given.

**Sound rows.** A target hour is computed only if each of its base_hours + buffer_hours rows is there and sound. Its
value depends on these rows alone.

## Notation

| | |
|---|---|
| O, H, L, C, V | open, high, low, close, volume of a bar; bar 0 is the oldest of the n bars, bar T the newest |
| TP, DV | typical price (H + L + C) / 3; dollar volume C V |
| LR, SR | log return ln(C_i / C_{{i-1}}); simple return C_i / C_{{i-1}} - 1; there are n - 1 of each |
| TR | true range: the greatest of H_i - L_i, \\|H_i - C_{{i-1}}\\|, \\|L_i - C_{{i-1}}\\| |
| ATR | plain mean of the last 14 TR |
| over m bars | of the last m items |
| mean, sd, var | arithmetic mean; standard deviation and variance of a sample (divisor m - 1) |
| q(x, p) | percentile of x by linear interpolation at position (m - 1) p of the m items in ascending order |
| EMA_s(x) | sum of w^j x_{{T-j}} / sum of w^j over all j = 0..T, w = 1 - 2/(s + 1): the weights always add up to 1 |
| RMA(x) | Wilder's mean y_0 = x_0, y_t = 13/14 y_{{t-1}} + 1/14 x_t: the first item keeps the weight (13/14)^T |

Division by zero gives NaN unless the formula says otherwise.

## Kept on purpose

The values continue those of the script that this project replaces, because models were trained on them. Where a formula
therefore differs from the textbook's, its summary or the text beneath it says so. The values depart from the script's
only in this:

* Bad rows (a value that is not a number or infinite, a price that is not positive, high below low, open or close
  outside low..high, negative volume, a stamp between two hours, rows of one hour that disagree) skip the hours whose
  lookback holds one. The script used most of them.
* Timeframes must divide a day. The script accepted others, and skipped about half of all hours then.
* close_hurst_100 is exactly 0. The script gave rounding errors around 0.
* NaN and infinities are stored as `null`. A feature set with `missing: nan` stores `NaN` and `-Infinity`, as the script
  did.
"""


def reference(catalog: Catalog) -> str:
    """The page of a catalogue's features, in Markdown."""
    parts = [_introduction(catalog)]
    for module, groups in groupby(catalog.groups, key=lambda group: inspect.getmodule(group.function)):
        parts += [_family(module), *(_group(group, catalog) for group in groups)]
    return "\n".join(parts)


def _introduction(catalog: Catalog) -> str:
    return INTRODUCTION.format(
        features=len(catalog.features),
        timeframes=", ".join(DEFAULT_TIMEFRAMES),
        columns=len(catalog.names()),
        base_hours=DEFAULT_BASE_HOURS,
        kept="\n".join(_kept(timeframe, catalog) for timeframe in DEFAULT_TIMEFRAMES),
    )


def _kept(timeframe: str, catalog: Catalog) -> str:
    bars = DEFAULT_BASE_HOURS // HOURS_PER_BAR[timeframe]
    missing = ", ".join(f"`{feature.name}`" for feature in catalog.features if feature.min_bars > bars)
    return f"| {timeframe} | {bars} | {missing or 'none'} |"


def _family(module: ModuleType | None) -> str:
    title, _, text = (inspect.getdoc(module) or "").partition(": ")
    return f"## {title}\n\n{_capitalized(text)}\n"


def _group(group: FeatureGroup, catalog: Catalog) -> str:
    formula, *remarks = group.formula.split("\n\n")
    return "\n".join(
        [
            f"### {group.label}\n",
            "| # | feature | what it is | min. bars | reads | oldest bar |",
            "|---|---|---|---|---|---|",
            *(_line(feature, group, catalog) for feature in group.features),
            f"\n```text\n{formula}\n```\n",
            *(f"{_escaped(' '.join(remark.split()))}\n" for remark in remarks),
        ]
    )


def _line(feature: Feature, group: FeatureGroup, catalog: Catalog) -> str:
    number = catalog.features.index(feature) + 1
    summary = _escaped(feature.summary)
    reads = "all" if feature.reads == ALL_BARS else feature.reads
    return f"| {number} | `{feature.name}` | {summary} | {feature.min_bars} | {reads} | {_oldest_bar(feature, group)} |"


def _oldest_bar(feature: Feature, group: FeatureGroup) -> str:
    if group.argument is Lookbacks:
        return "always"
    if group.reach < feature.min_bars:
        return "never"
    if group.reach == ALL_BARS:
        return "always"
    if group.reach == feature.min_bars:
        return f"if n = {group.reach}"
    return f"if n is {feature.min_bars} to {group.reach}"


def _escaped(text: str) -> str:
    """Text in which Markdown sees no markup."""
    return re.sub(r"([*|<\\])", r"\\\1", text)


def _capitalized(text: str) -> str:
    return text[:1].upper() + text[1:]


if __name__ == "__main__":
    print(reference(catalog_with(sys.argv[1:])), end="")
