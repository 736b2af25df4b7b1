"""Numbers in the addresses of pages."""

from __future__ import annotations

from starlette.convertors import Convertor, register_url_convertor


class _Number(Convertor[int]):
    """A number that every database holds: an address with any other leads nowhere."""

    regex = "[0-9]{1,18}"

    def convert(self, value: str) -> int:
        return int(value)

    def to_string(self, value: int) -> str:
        return str(value)


def register_numbers() -> None:
    """Let routes have ``{name:number}`` in their paths."""
    register_url_convertor("number", _Number())
