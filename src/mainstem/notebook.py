"""What shows itself in a notebook as its graph."""

from __future__ import annotations

from typing import Any


class ShownAsGraph:
    """A pipeline, which a notebook shows as its graph where it is the last thing in a cell."""

    def _repr_html_(self) -> str:
        from mainstem.graph.notebook import to_html  # late: most programs draw nothing

        stage: Any = self
        return to_html(stage)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        """Give all forms; the notebook leaves out those that ``include`` and ``exclude`` tell it to."""
        from mainstem.graph.notebook import mime_bundle

        stage: Any = self
        return mime_bundle(stage)
