"""Completion in bash and zsh, by argcomplete: the shell calls the command with a variable that asks for words."""

import argparse
import os

ASKED = "_ARGCOMPLETE"


def complete(parser: argparse.ArgumentParser) -> None:
    """Answer the shell and end the process if it asks for words; do nothing otherwise."""
    if ASKED in os.environ:
        import argcomplete

        argcomplete.autocomplete(parser)
