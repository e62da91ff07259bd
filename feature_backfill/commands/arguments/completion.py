"""Completion in bash and zsh, by argcomplete: the shell calls the command with a variable that asks for words."""

import argparse
import os

ASKED = "_ARGCOMPLETE"


def complete(parser: argparse.ArgumentParser) -> None:
    """Answer the shell and end the process if it asks for words; do nothing otherwise."""
    if ASKED in os.environ:
        import argcomplete

        argcomplete.autocomplete(parser)


def market_names(**_: object) -> list[str]:
    """The markets of configs/, which the shell completes."""
    from feature_backfill.config import read_markets

    return [market.name for market in read_markets().valid]
