"""Durable runs: resumed after a crash, with nothing lost and nothing doubled."""
