"""Asset checks: what can be said of all hours of a market taken together.

Each check reads for a moment, patiently, and writes nothing. One that finds something says where; one that cannot look,
because a database is missing or taken, fails in one line.
"""
