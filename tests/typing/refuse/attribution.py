"""Wrong uses of what a run says of its times. Each refused line names the code of each checker."""

from __future__ import annotations

from functions import increment

from mainstem import MapStage, Pipeline, StageTiming

result = Pipeline[list[int], list[int]]("numbers").add_stage(MapStage(increment)).run([1])

print(result.bottleneck.name)  # expect: union-attr, reportOptionalMemberAccess
print(result.times.parts)  # expect: union-attr, reportOptionalMemberAccess
result.bottleneck()  # expect: operator, misc, reportOptionalCall, reportCallIssue
result.explain + ""  # expect: operator, reportOperatorIssue
result.stage_results["MapStage"].timing.busy_ms = 1.0  # expect: misc, reportAttributeAccessIssue
StageTiming(1.0)  # expect: call-arg, reportCallIssue
StageTiming(busy_ms="1")  # expect: arg-type, reportArgumentType
if result.bottleneck is not None:
    result.bottleneck.share = 0.5  # expect: misc, reportAttributeAccessIssue
