"""Which broker a source or sink speaks to: a URL, or a broker object of FastStream."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from mainstem.datasets import Dataset, channel_dataset
from mainstem.errors import ConnectError, missing_extra
from mainstem.secrets import redact_url

_KINDS = {
    "amqp": "rabbit",
    "amqps": "rabbit",
    "kafka": "kafka",
    "mqtt": "mqtt",
    "mqtts": "mqtt",
    "nats": "nats",
    "redis": "redis",
    "rediss": "redis",
    "tls": "nats",
}
"""Kinds of broker, as FastStream names its packages, by the scheme of a URL."""
_SCHEMES = "redis://, nats://, amqp://, kafka:// and mqtt://"


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """A broker.

    Attributes:
        kind: What FastStream calls its kind.
        shown: How messages name it, without secrets.
        url: Its URL; ``None`` if a broker object was given.
        broker: The broker object; ``None`` if a URL was given.
    """

    kind: str
    shown: str
    url: str | None = None
    broker: Any = None

    def datasets(self, channel: str) -> tuple[Dataset, ...]:
        """Name a channel of it as OpenLineage does; of a broker object it is not known where it is."""
        return () if self.url is None else (channel_dataset(self.url, channel),)


def broker_address(url_or_broker: object, purpose: str) -> BrokerAddress:
    """Return the broker that a URL or an object of FastStream stands for.

    Raises:
        ConnectError: If the URL is of no broker.
        MissingExtraError: If the packages for it are not installed.
        TypeError: If it is neither.
    """
    if isinstance(url_or_broker, str):
        address = _of_url(url_or_broker)
    else:
        kind = _kind_of_object(url_or_broker)
        if kind is None:
            raise TypeError(
                f"{purpose} takes the URL of a broker, or a KafkaBroker, MQTTBroker, NatsBroker, RabbitBroker or "
                f"RedisBroker of FastStream, not {type(url_or_broker).__name__}"
            )
        address = BrokerAddress(kind, f"{type(url_or_broker).__name__}", broker=url_or_broker)
    import_faststream(address.kind, purpose)
    return address


def import_faststream(kind: str, purpose: str) -> Any:
    """Import FastStream's package for a kind of broker.

    Raises:
        MissingExtraError: If it, or the client it uses, is not installed.
    """
    try:
        return import_module(f"faststream.{kind}")
    except ImportError as error:
        raise missing_extra(purpose, "brokers") from error


def _of_url(url: str) -> BrokerAddress:
    shown = redact_url(url)
    kind = _KINDS.get(url.partition("://")[0].lower()) if "://" in url else None
    if kind is None:
        raise ConnectError(f"{shown} names no broker: URLs begin with {_SCHEMES}")
    try:
        parts = urlsplit(url)
        has_host = bool(parts.netloc.rpartition("@")[2])
        if kind != "kafka":
            _ = parts.port
    except ValueError as error:
        raise ConnectError(f"{shown} is no URL: {redact_url(str(error))}") from None
    if not has_host:
        raise ConnectError(f"{shown} names no host")
    if kind == "kafka" and "@" in parts.netloc:
        # What else SASL needs (its mechanism, TLS) has no place in such a URL.
        raise ConnectError(f"{shown}: a URL of Kafka takes no credentials: give a KafkaBroker with its security")
    return BrokerAddress(kind, shown, url=url)


def _kind_of_object(broker: object) -> str | None:
    """Return the kind of a broker object, without importing any package to find out."""
    for base in type(broker).__mro__:
        root, _, rest = base.__module__.partition(".")
        kind = rest.partition(".")[0]
        if root == "faststream" and base.__name__.endswith("Broker") and kind in _KINDS.values():
            return kind
    return None
