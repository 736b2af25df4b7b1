"""The peers, one file each, run in the environment that their group has: see ``benchmarks/environments.py``.

Their packages are not there for the type checkers, nor do all of them have types, so each is imported by its name, as a
module of unknown content. A module that stands for a peer has ``ENTRIES``: which figures it takes part in, and how.
"""
