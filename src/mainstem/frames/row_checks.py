"""Checks of the rows of frames: expressions, and the schemas of dataframely and pandera."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from mainstem.errors import StageContractError
from mainstem.frame_data import import_polars

if TYPE_CHECKING:
    import polars

_PURPOSE = "FrameValidateStage"
_ROW = "mainstem row"


class FrameSchema(Protocol):
    """A schema of dataframely or pandera, as far as type checkers are to know."""

    def validate(self, *args: Any, **kwargs: Any) -> Any:
        """Check a frame."""
        ...


class RowCheck(ABC):
    """Says which rows of a frame are refused, and why."""

    @abstractmethod
    def refused(self, frame: polars.DataFrame) -> tuple[list[int], list[str]]:
        """Return the positions of the rows that are refused, in order, and the reasons for each.

        Raises:
            StageContractError: If the frame has not the columns that are to be checked.
        """


class ExpressionRules(RowCheck):
    """Rows pass for which each expression is true.

    Args:
        rules: The expressions, by reason.

    Raises:
        TypeError: If a rule is no expression.
        ValueError: If there are none.
    """

    def __init__(self, rules: Mapping[str, Any]) -> None:
        polars = import_polars(_PURPOSE)
        if not rules:
            raise ValueError("FrameValidateStage needs a rule: {reason: expression}")
        for reason, rule in rules.items():
            if not isinstance(rule, polars.Expr):
                raise TypeError(f"the rule {reason!r} of FrameValidateStage must be a Polars expression, not {rule!r}")
        self._rules = dict(rules)

    def refused(self, frame: polars.DataFrame) -> tuple[list[int], list[str]]:
        answers = self._answers(frame)
        passes = import_polars(_PURPOSE).all_horizontal(answers.columns)
        positions: list[int] = (~answers.select(passes.alias("good"))["good"]).arg_true().to_list()
        return positions, _joined(list(self._rules), answers[positions].iter_rows()) if positions else []

    def _answers(self, frame: polars.DataFrame) -> polars.DataFrame:
        """Return a column of truth values for each rule, by its number.

        Raises:
            TypeError: If a rule gives something else.
        """
        polars = import_polars(_PURPOSE)
        rules = [rule.alias(str(at)) for at, rule in enumerate(self._rules.values())]
        # Beside a column, a rule that does not look at the rows gives an answer for each as well.
        answers = frame.select(polars.int_range(polars.len()).alias("row"), *rules).drop("row")
        for reason, column in zip(self._rules, answers.columns, strict=True):
            if answers[column].dtype not in (polars.Boolean, polars.Null):
                raise TypeError(
                    f"the rule {reason!r} gives {answers[column].dtype} for a row, and not a truth value: compare with "
                    "something"
                )
        return answers.fill_null(value=False)


class DataframelySchema(RowCheck):
    """Rows pass that a schema of dataframely lets through.

    Args:
        schema: The class.

    Raises:
        TypeError: If it has a primary key, for which rows have to be compared with others.
    """

    def __init__(self, schema: Any) -> None:
        keys = list(schema.primary_key())
        if keys:
            raise TypeError(
                f"{schema.__name__} has a primary key ({', '.join(keys)}), and to see that no two rows share one takes "
                "all rows: leave it out, and put FrameDedupeStage after the stage"
            )
        dataframely: Any = import_module("dataframely")
        # With the number of each row as one more column, what is refused says where it was.
        self._schema: Any = type(schema.__name__, (schema,), {_ROW: dataframely.UInt32(nullable=False)})
        self._columns = list(schema.columns())

    def refused(self, frame: polars.DataFrame) -> tuple[list[int], list[str]]:
        dataframely: Any = import_module("dataframely")
        lacking = [name for name in self._columns if name not in frame.columns]
        if lacking:
            raise StageContractError(_lacks(self._schema.__name__, lacking[0], frame))
        try:
            _, failures = self._schema.filter(frame.with_row_index(_ROW).select(_ROW, *self._columns))
        except dataframely.exc.SchemaError as error:
            raise StageContractError(str(error).partition("\n\n")[0]) from error
        details = failures.details()
        rules = [name for name in details.columns if name not in (_ROW, *self._columns)]
        passed = ([said != "invalid" for said in row] for row in details.select(rules).iter_rows())
        return details[_ROW].to_list(), _joined(rules, passed)


class PanderaSchema(RowCheck):
    """Rows pass that a schema of pandera finds nothing wrong with.

    Args:
        schema: A ``DataFrameSchema``, or a class of ``DataFrameModel``.

    Raises:
        TypeError: If it changes values, or compares rows with one another.
    """

    def __init__(self, schema: Any) -> None:
        made: Any = getattr(schema, "to_schema", lambda: schema)()  # which a model has, and a schema has not
        columns: Any = made.columns.values()
        if made.coerce or any(column.coerce for column in columns):
            raise TypeError(f"{made.name or 'the schema'} changes values (coerce): cast them with a FrameStage before")
        if made.unique or any(column.unique for column in columns):
            raise TypeError(
                f"{made.name or 'the schema'} says that values are unique, and to see that takes all rows: leave it "
                "out, and put FrameDedupeStage after the stage"
            )
        self._schema: Any = made

    def refused(self, frame: polars.DataFrame) -> tuple[list[int], list[str]]:
        errors: Any = import_module("pandera.errors")
        try:
            self._schema.validate(frame, lazy=True)
        except errors.SchemaErrors as error:
            cases: Any = error.failure_cases
        else:
            return [], []
        whole = cases.filter(cases["index"].is_null())
        if whole.height:
            said = whole.row(0, named=True)
            raise StageContractError(
                f"the frame is not what {self._schema.name or 'the schema'} says: {said['column']}: {said['check']} "
                f"({said['failure_case']})"
            )
        reasons: dict[int, list[str]] = {}
        for index, column, check in cases.select("index", "column", "check").iter_rows():
            reasons.setdefault(index, []).append(f"{column}: {check}")
        positions = sorted(reasons)
        return positions, ["; ".join(reasons[at]) for at in positions]


def row_check_of(rules: Any) -> RowCheck:
    """Return the check that rules or a schema stand for; no package is imported to find out.

    Raises:
        TypeError: If they are none.
        ValueError: If there are no rules.
    """
    if isinstance(rules, Mapping):
        return ExpressionRules(rules)  # pyright: ignore[reportUnknownArgumentType]
    kind: Any = rules if isinstance(rules, type) else type(rules)
    packages = {base.__module__.partition(".")[0] for base in kind.__mro__}
    if "dataframely" in packages and isinstance(rules, type):
        return DataframelySchema(rules)
    if "pandera" in packages:
        return PanderaSchema(rules)
    raise TypeError(
        "FrameValidateStage takes {reason: expression}, a Schema of dataframely, or a DataFrameSchema or "
        f"DataFrameModel of pandera.polars, not {rules!r:.200}"
    )


def _joined(reasons: Sequence[str], answers: Any) -> list[str]:
    """Return for each row the reasons of the answers that are not true, in one text."""
    return ["; ".join(reason for reason, yes in zip(reasons, row, strict=True) if not yes) for row in answers]


def _lacks(schema: str, name: str, frame: polars.DataFrame) -> str:
    return f"the frame lacks column {name!r} of {schema}; it has {', '.join(map(repr, frame.columns))}"
