"""The exceptions whose messages are written for the operator."""


class UserError(Exception):
    """Bad arguments, configuration or data. The message says in one line what is wrong, where, and what to do.

    The command line prints the message and exits with code 2.
    """

    def __init__(self, message: str) -> None:
        super().__init__("".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in message))


class RunError(Exception):
    """A run that started and then failed. What it had stored by then stays stored. Exit code 3."""
