"""A Kafka-compatible cluster in a process of its own: librdkafka's mock cluster, told what to do by XML-RPC.

It is a server on TCP that speaks Kafka's protocol and keeps groups, and of each partition 5 MB, in memory. Made by
Kafka's C client for the tests of clients, it comes in the wheel of confluent-kafka, whose Python face cannot make
topics or errors.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Any
from xmlrpc.server import SimpleXMLRPCServer

from confluent_kafka import cimpl

BROKERS = 3
_PRODUCER = 0


class Cluster:
    """The cluster; its methods can be called from outside."""

    def __init__(self) -> None:
        self._library: Any = ctypes.CDLL(cimpl.__file__)  # which finds what it is linked with, too
        for name in ("conf_new", "new", "mock_cluster_new"):
            getattr(self._library, f"rd_kafka_{name}").restype = ctypes.c_void_p
        self._library.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
        said = ctypes.create_string_buffer(512)
        settings = ctypes.c_void_p(self._library.rd_kafka_conf_new())
        client = self._library.rd_kafka_new(_PRODUCER, settings, said, ctypes.c_size_t(len(said)))
        assert client, said.value.decode()
        self._cluster = ctypes.c_void_p(self._library.rd_kafka_mock_cluster_new(ctypes.c_void_p(client), BROKERS))
        self._library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, 0)  # 3 s, as Kafka's own

    def port(self) -> int:
        """Return where the first of its brokers listens."""
        servers = str(self._library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode())
        return int(servers.split(",")[0].rpartition(":")[2])

    def add_topic(self, name: str, partitions: int) -> int:
        """Make a topic, and return Kafka's code for what went wrong, or 0."""
        return int(self._library.rd_kafka_mock_topic_create(self._cluster, name.encode(), partitions, BROKERS))

    def turn(self, on: bool) -> int:
        """Have all its brokers go away, or be there again with all they had."""
        for broker in range(1, BROKERS + 1):
            change = self._library.rd_kafka_mock_broker_set_up if on else self._library.rd_kafka_mock_broker_set_down
            change(self._cluster, ctypes.c_int32(broker))
        return 0

    def refuse_topic(self, name: str, code: int) -> int:
        """Answer questions about a topic with an error."""
        self._library.rd_kafka_mock_topic_set_error(self._cluster, name.encode(), code)
        return 0

    def refuse(self, request: int, codes: list[int]) -> int:
        """Answer the next requests of a kind (Kafka's number for it) with errors."""
        errors = (ctypes.c_int * len(codes))(*codes)
        self._library.rd_kafka_mock_push_request_errors_array(
            self._cluster, ctypes.c_int16(request), ctypes.c_size_t(len(codes)), errors
        )
        return 0


if __name__ == "__main__":
    with SimpleXMLRPCServer(("127.0.0.1", int(sys.argv[1])), logRequests=False) as server:
        server.register_instance(Cluster())
        server.serve_forever()
