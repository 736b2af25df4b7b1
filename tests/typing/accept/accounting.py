"""What became of the records of a run."""

from typing import assert_type

from mainstem import Accounting, Pipeline, PipelineResult

result: PipelineResult[list[int]] = Pipeline[list[int], list[int]]("numbers").map(abs).run([1])
assert_type(result.accounting, Accounting)
assert_type(result.accounting.records_in, int)
assert_type(result.accounting.check(), None)
