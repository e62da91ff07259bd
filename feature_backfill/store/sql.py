"""Names and texts as parts of SQL, in the statements that take no parameters for them."""


def quoted(identifier: str) -> str:
    """One identifier for use in SQL text; a dot in it is part of the name, not a separator of schema and table."""
    return '"' + identifier.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text for use in SQL text, in the statements that take no parameters."""
    return "'" + text.replace("'", "''") + "'"
