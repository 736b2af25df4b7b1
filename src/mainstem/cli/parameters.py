"""Arguments and options that several commands have: each means the same, and is explained the same, everywhere."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from cyclopts import Parameter

Store: TypeAlias = Annotated[
    str | None,
    Parameter(
        show_default=False,
        help="Where durable runs and their rejects are kept: a file, or a URL of SQLite or PostgreSQL; "
        "MAINSTEM_STORE or else mainstem.db in the current directory.",
    ),
]
TargetName: TypeAlias = Annotated[str, Parameter(help="The pipeline: module:attribute or path/to/file.py:attribute.")]
Settings: TypeAlias = Annotated[
    tuple[str, ...],
    Parameter(
        name="--set",
        negative="",
        show_default=False,
        help="name=value: an argument of the function that makes the pipeline, as for mainstem run.",
    ),
]
PipelineName: TypeAlias = Annotated[
    str | None, Parameter(allow_leading_hyphen=True, show_default=False, help="The name of its pipeline.")
]
SettingsAnew: TypeAlias = Annotated[
    tuple[str, ...],
    Parameter(
        name="--set",
        negative="",
        show_default=False,
        help="name=value: a setting, in the place of the one that is kept. Repeat it for more.",
    ),
]
By: TypeAlias = Annotated[
    str | None,
    Parameter(allow_leading_hyphen=True, show_default=False, help="Who does it; the login name by default."),
]
Json: TypeAlias = Annotated[bool, Parameter(negative="", show_default=False, help="Write JSON instead of text.")]
Traceback: TypeAlias = Annotated[
    bool,
    Parameter(negative="", show_default=False, help="Show tracebacks in full, frames of libraries included."),
]
Limit: TypeAlias = Annotated[int, Parameter(help="How many to show at most.")]

# Of ``run`` and ``runs resume``.
Workers: TypeAlias = Annotated[
    int | None,
    Parameter(
        show_default=False,
        help="How many worker processes may share the work, where that is quicker; what belongs to one process "
        "alone, such as a lock, cannot be sent there.",
    ),
]
Guarantee: TypeAlias = Annotated[
    Literal["exactly-once", "at-least-once"] | None,
    Parameter(show_default=False, help="What the sink must promise; the run does not start if it cannot."),
]
CommitEvery: TypeAlias = Annotated[
    str | None,
    Parameter(show_default=False, help="When a batch is committed: so many records (10000), or so long (2s, 500ms)."),
]
MaxRejects: TypeAlias = Annotated[
    int | None, Parameter(show_default=False, help="Stop at the first rejected record beyond so many.")
]
MaxRejectRate: TypeAlias = Annotated[
    float | None,
    Parameter(show_default=False, help="Stop when more than this share of the records is rejected, such as 0.01."),
]
Force: TypeAlias = Annotated[
    bool,
    Parameter(
        negative="",
        show_default=False,
        help="Go on with the run though the pipeline or its input changed since it began: what is loaded stays, "
        "the rest goes through the pipeline as it is now, from the same position.",
    ),
]
Quiet: TypeAlias = Annotated[
    bool, Parameter(negative="", show_default=False, help="Show only what was rejected and what failed.")
]
JsonResult: TypeAlias = Annotated[
    bool,
    Parameter(
        negative="",
        show_default=False,
        help="Write the result to stdout as one JSON document; all else goes to stderr.",
    ),
]
