"""The markets of the configs folder: those that can be used, and the files that are broken."""

import os
import re
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from feature_backfill.config.files import load_market
from feature_backfill.config.schema import Market
from feature_backfill.config.sources import ExchangeSource
from feature_backfill.errors import UserError

CONFIGS_VARIABLE = "FEATURE_BACKFILL_CONFIGS"
NO_MARKETS = {"dagster", "alerts"}
"""YAML files of the folder, without their suffix, that describe something else."""

_NAME_LINE = re.compile(r"""^["']?name["']?:\s*["']?([A-Za-z0-9_]+)["']?\s*(#.*)?$""", re.MULTILINE)


@dataclass(frozen=True)
class BrokenMarket:
    """A file that does not describe a market which could run.

    name: of the market, as far as the file tells. error: what is wrong, in one line that names the file.
    text: what the file says; None if that cannot be read.
    """

    file: Path
    name: str | None
    error: str
    text: str | None

    def may_mean(self, word: str) -> bool:
        """Whether a word, such as a feature key, stands in the file. It may stand in a file that cannot be read."""
        whole = rf"(?<![\w.-]){re.escape(word)}(?![\w.-])"
        return self.text is None or re.search(whole, self.text) is not None


@dataclass(frozen=True)
class Markets:
    """What the market YAMLs of a folder say.

    by_file: the market of each file that can be used, in order of their names; broken: in order of their files.
    """

    folder: Path
    by_file: Mapping[Path, Market]
    broken: Sequence[BrokenMarket]

    @property
    def valid(self) -> list[Market]:
        """The markets that can be used, sorted by name."""
        return list(self.by_file.values())

    @property
    def errors(self) -> list[str]:
        """What is wrong with the broken files, each line once."""
        return list(dict.fromkeys(broken.error for broken in self.broken))


def configs_folder() -> Path:
    """The folder that holds the market YAMLs: $FEATURE_BACKFILL_CONFIGS, or configs/ in the working folder."""
    return Path(os.environ.get(CONFIGS_VARIABLE) or "configs").resolve()


def read_markets(folder: Path | None = None) -> Markets:
    """The markets of a folder's YAML files. dagster.yaml, alerts.yaml and hidden files are not among them.

    Where files have something in common that two markets must not share, each of them is broken: which one was meant to
    have it cannot be told. The other markets can be used.
    """
    folder = configs_folder() if folder is None else folder
    readable, broken = {}, []
    for path in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")]):
        if path.stem in NO_MARKETS or path.name.startswith("."):
            continue
        try:
            readable[path] = load_market(path)
        except UserError as error:
            broken.append(_broken(path, str(error)))
    shared = _sharing(readable)
    broken += [_broken(path, error) for path, error in shared.items()]
    usable = sorted(readable.keys() - shared.keys(), key=lambda path: readable[path].name)
    return Markets(folder, {path: readable[path] for path in usable}, sorted(broken, key=lambda each: each.file))


def _broken(file: Path, error: str) -> BrokenMarket:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return BrokenMarket(file, None, error, None)
    named = _NAME_LINE.search(text)
    return BrokenMarket(file, named[1] if named else None, error, text)


def _sharing(markets: Mapping[Path, Market]) -> dict[Path, str]:
    """What is wrong with each file whose market has something in common with another that they must not share."""
    return {
        **_in_common(markets, "job name", lambda market: market.job_names, "rename all but one of the markets or keys"),
        **_in_common(
            markets,
            "target database",
            lambda market: {str(market.target)},
            "rows and bars of two markets would mix there: give each a target_database, or a schema of the lake, "
            "of its own",
        ),
        **_in_common(
            markets,
            "OHLCV table, which their exchanges fill",
            _filled_by_an_exchange,
            "bars of two symbols would mix there: give each market a table of its own",
        ),
        **_in_common(markets, "market name", lambda market: {market.name}, "rename all but one of the markets"),
    }


def _filled_by_an_exchange(market: Market) -> set[str]:
    source = market.source
    return {f"{source.database} {source.table.lower()}"} if isinstance(source, ExchangeSource) else set()


def _in_common(
    markets: Mapping[Path, Market], what: str, of: Callable[[Market], Set[str]], remedy: str
) -> dict[Path, str]:
    """By file, the message about what a market has in common with others."""
    values = {path: of(market) for path, market in markets.items()}
    messages = {}
    for path, own in values.items():
        alike = [str(other) for other, its in values.items() if own & its]
        if len(alike) > 1:
            messages[path] = f"these files use the same {what}: {', '.join(alike)}; {remedy}"
    return messages
