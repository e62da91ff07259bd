"""Every use of what is private in Dagster: modules `dagster._*`, the storages behind the instance, attributes.

Each module says which facts of Dagster 1.13.27 it rests on and what the public way would cost, so that a new release of
Dagster is checked here and nowhere else. Known to assets, automation and commands only.
"""
