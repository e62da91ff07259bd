"""The arguments of the commands with which a person looks: status, list, alert-test."""

import argparse
from typing import Any

from feature_backfill.commands.arguments.completion import completed, market_names

Commands = Any
"""What argparse gives for add_subparsers, whose class it does not make public."""


def add_looking_commands(commands: Commands) -> None:
    """Add these commands to those of the command line."""
    _add_status(commands.add_parser("status", help="how every feature set stands: stored, behind, missing, checked"))
    listing = commands.add_parser("list", help="what configs/ describes: markets, their OHLCV, feature keys")
    listing.add_argument("--json", action="store_true", help="print a JSON list with an object for each market")
    _add_market(
        commands.add_parser("alert-test", help="send a test message to each target of alerts.yaml"),
        "market whose targets get the message (all targets)",
    )


def _add_status(command: argparse.ArgumentParser) -> None:
    _add_market(command, "market of configs/ (all)")
    command.add_argument("--json", action="store_true", help="print a JSON list with an object for each feature set")


def _add_market(command: argparse.ArgumentParser, about: str) -> None:
    argument = command.add_argument("market", nargs="?", metavar="MARKET", help=about)
    completed(argument, market_names)
