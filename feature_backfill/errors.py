"""The exceptions whose message is meant for the operator."""


class UserError(Exception):
    """Bad arguments, configuration or data, told in one line: what is wrong, where, and what to do.

    The command line prints it and exits with code 2.
    """

    def __init__(self, message: str) -> None:
        super().__init__("".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in message))


class RunError(Exception):
    """A run that was started and did not succeed; what it had stored stays. Exit code 3."""
