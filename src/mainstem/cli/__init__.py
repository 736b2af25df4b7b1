"""The command line: ``mainstem run TARGET``."""
