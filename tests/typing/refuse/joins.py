"""Wrong joins with ``>>``. Each refused line names the code of each checker."""

from __future__ import annotations

from collections.abc import Iterable

from functions import Parse, Show, fetch, increment, is_even, is_positive, length, not_empty, text, total

from mainstem import (
    AggregateStage,
    BatchStage,
    BranchStage,
    FilterStage,
    FlattenStage,
    MapStage,
    PipelineStage,
    ValidateRecordsStage,
    ValidateStage,
    fan_out,
)

numbers = Parse() >> MapStage(increment)
words = Parse() >> MapStage(text)
one = numbers >> AggregateStage(total)

map_words = MapStage(length)
keep_positive = FilterStage(is_positive)
check_even = ValidateRecordsStage(is_even)
check_numbers = ValidateStage(not_empty)
add_up = AggregateStage(total)
branch = BranchStage(sum=AggregateStage(total), again=AggregateStage(total))
fan = fan_out(AggregateStage(total), MapStage(text))
show = Show()

numbers >> map_words  # expect: operator, reportOperatorIssue
words >> MapStage(fetch) >> map_words >> map_words  # expect: arg-type, operator, reportOperatorIssue
words >> keep_positive  # expect: operator, reportOperatorIssue
words >> check_even  # expect: operator, reportOperatorIssue
words >> check_numbers  # expect: operator, reportOperatorIssue
words >> add_up  # expect: operator, reportOperatorIssue
words >> branch  # expect: operator, reportOperatorIssue
words >> fan  # expect: operator, reportOperatorIssue
words >> show  # expect: operator, reportOperatorIssue
one >> BatchStage(2)  # expect: operator, reportOperatorIssue
one >> FlattenStage()  # expect: operator, reportOperatorIssue
numbers >> FlattenStage()  # expect: operator, reportOperatorIssue
one >> keep_positive  # expect: operator, reportOperatorIssue
numbers >> show  # expect: operator, reportOperatorIssue
numbers >> (MapStage(length) >> AggregateStage(total))  # expect: operator, reportOperatorIssue

# what is no stage
numbers >> increment  # expect: operator, reportOperatorIssue
numbers >> 3  # expect: operator, reportOperatorIssue
numbers >> FlattenStage  # expect: operator, reportOperatorIssue

# wrong options
MapStage(increment, concurrency="3")  # expect: call-overload, reportCallIssue, reportArgumentType
MapStage(3)  # expect: call-overload, reportCallIssue, reportArgumentType
BatchStage("3")  # expect: arg-type, reportArgumentType
FilterStage(text)  # expect: arg-type, reportArgumentType
ValidateStage(total)  # expect: arg-type, reportArgumentType

wrong_in: PipelineStage[list[str], int] = AggregateStage(total)  # expect: arg-type, reportAssignmentType
wrong_out: PipelineStage[str, Iterable[str]] = numbers  # expect: assignment, reportAssignmentType
