"""Asset checks over all hours of a market.

A check opens the databases briefly, waits if one is locked, and writes nothing. A check that finds a problem says where
it is. A check whose database is missing or stays locked fails with a one-line message.
"""
