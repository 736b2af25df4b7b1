"""Whether a broker can be reached with the credentials given: a connection is opened and closed, and nothing else."""

from __future__ import annotations

from mainstem.brokers.address import BrokerAddress
from mainstem.brokers.connection import BrokerConnection
from mainstem.brokers.kinds import publisher_to
from mainstem.brokers.publisher import Publisher


async def reach(address: BrokerAddress, channel: str, connect_timeout: float) -> str:
    """Connect to a broker and go away again: nothing is subscribed to, made or published.

    Returns:
        What was found.

    Raises:
        ConnectError: If it cannot be reached, or refuses.
    """
    connection: BrokerConnection | Publisher
    if address.kind == "rabbit":
        from mainstem.brokers.rabbit_queue import rabbit_connection

        connection = rabbit_connection(address, connect_timeout)
    elif address.kind == "nats":
        from mainstem.brokers.nats_subject import nats_connection

        connection = nats_connection(address, connect_timeout)
    else:  # whose publishers do no more than that when they are opened
        connection = publisher_to(address, channel, connect_timeout)
    try:
        await connection.open()
    finally:
        await connection.close()
    return f"{address.shown} takes the connection; channel {channel!r}"
