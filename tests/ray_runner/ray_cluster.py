"""A real Ray cluster for tests: two nodes of one processor on this machine, started once per process."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

OBJECT_STORE = 100_000_000


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[Any]:
    """A cluster that this process is connected to; the first node is the driver's own."""
    settings = {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # else Ray warns of a default that will change
        "PYTHONPATH": os.pathsep.join(sys.path),  # the tests' modules, for Ray's workers
    }
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    ray: Any = import_module("ray")
    if ray.is_initialized():  # a Ray of its own, which an earlier test of this process has started
        ray.shutdown()
    node = {"num_cpus": 1, "object_store_memory": OBJECT_STORE}
    head = {**node, "include_dashboard": False}
    cluster: Any = import_module("ray.cluster_utils").Cluster(initialize_head=True, head_node_args=head)
    try:
        cluster.add_node(**node)
        ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.ERROR)
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
