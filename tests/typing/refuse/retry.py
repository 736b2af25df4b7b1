"""Wrong retry policies, time limits, taps and throttles. Each refused line names the code of each checker."""

from __future__ import annotations

from functions import Parse, increment, length, text, total

from mainstem import AggregateStage, Count, MapStage, Pipeline, RetryPolicy, TapStage, ThrottleStage, ValidateStage


async def is_temporary(error: Exception) -> bool:
    return True


def of_text(word: str) -> bool:
    return True


RetryPolicy("3")  # expect: arg-type, reportArgumentType
RetryPolicy(3, OSError)  # expect: call-arg, reportCallIssue
RetryPolicy(on="OSError")  # expect: arg-type, reportArgumentType
RetryPolicy(on=KeyboardInterrupt)  # expect: arg-type, reportArgumentType
RetryPolicy(on=is_temporary)  # expect: arg-type, reportArgumentType
RetryPolicy(on=of_text)  # expect: arg-type, reportArgumentType
RetryPolicy(wait_initial="1")  # expect: arg-type, reportArgumentType
RetryPolicy().attempts = 5  # expect: misc, reportAttributeAccessIssue

MapStage(increment, retry=3)  # expect: call-overload, reportCallIssue, reportArgumentType
MapStage(increment, timeout="2")  # expect: call-overload, reportCallIssue, reportArgumentType
ValidateStage(of_text, timeout="2")  # expect: arg-type, reportArgumentType
AggregateStage(total, retry=3)  # expect: call-overload, reportCallIssue, reportArgumentType
AggregateStage(Count(), retry=RetryPolicy())  # expect: call-overload, reportCallIssue, reportArgumentType

tap_words = TapStage(of_text)
numbers = Parse() >> MapStage(increment)
numbers >> tap_words  # expect: operator, reportOperatorIssue
numbers >> TapStage(text) >> MapStage(length)  # expect: arg-type, reportOperatorIssue
numbers >> ThrottleStage(3) >> MapStage(length)  # expect: arg-type, reportOperatorIssue
one = numbers >> AggregateStage(total)
one >> ThrottleStage(3)  # expect: operator, reportOperatorIssue
TapStage()  # expect: call-arg, reportCallIssue
ThrottleStage(1.5)  # expect: arg-type, reportArgumentType
ThrottleStage(3, per="1")  # expect: arg-type, reportArgumentType
Pipeline[list[int], list[int]]("fluent").tap(of_text)  # expect: arg-type, reportArgumentType
Pipeline[list[int], list[int]]("fluent").map(increment, retry=3)  # expect: call-overload, reportCallIssue, reportArgumentType
