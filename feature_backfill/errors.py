"""The one exception that means: the operator can mend this."""


class UserError(Exception):
    """Bad arguments, configuration or data, told in one line: what is wrong, where, and what to do.

    The command line prints it and exits with code 2; anything else that is raised is a bug or a fault of the machine.
    """
