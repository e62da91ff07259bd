"""Completion in bash and zsh, by argcomplete: the shell calls the command with a variable that asks for words."""

import argparse
import os
from collections.abc import Callable

ASKED = "_ARGCOMPLETE"


def complete(parser: argparse.ArgumentParser) -> None:
    """Answer the shell and end the process if it asks for words; do nothing otherwise."""
    if ASKED in os.environ:
        import argcomplete

        argcomplete.autocomplete(parser)


def completed(argument: argparse.Action, words: Callable[..., list[str]]) -> None:
    """Let the shell complete an argument with words."""
    argument.completer = words  # type: ignore[attr-defined]


def market_names(**_: object) -> list[str]:
    """The markets of configs/, which the shell completes."""
    from feature_backfill.config import read_markets

    return [market.name for market in read_markets().valid]


def feature_keys(parsed_args: argparse.Namespace, **_: object) -> list[str]:
    """The feature keys of configs/, which the shell completes: those of the market that is named already, or all."""
    from feature_backfill.config import read_markets

    named = getattr(parsed_args, "market", None)
    markets = [market for market in read_markets().valid if named in (None, [], market.name, [market.name])]
    return [feature_set.key for market in markets for feature_set in market.feature_sets]
