"""What a sink needs of a broker: messages to publish, each confirmed by the broker."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to publish.

    Attributes:
        body: Its content.
        content_type: What that is.
        key: The key, where the broker has such a thing.
    """

    body: bytes
    content_type: str = "application/json"
    key: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        """The headers it is published with."""
        return {"content-type": self.content_type, **({} if self.key is None else {"key": self.key})}


class Publisher(ABC):
    """A producer into a channel."""

    @abstractmethod
    async def open(self) -> None:
        """Connect.

        Raises:
            ConnectError: If that cannot be.
        """

    @abstractmethod
    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Publish messages in order, and return when the broker has confirmed all of them.

        Raises:
            ConnectError: If it does not; some may have been published all the same.
        """

    @abstractmethod
    async def close(self) -> None:
        """Let go of the connection."""
