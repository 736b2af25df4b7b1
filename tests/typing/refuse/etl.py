"""Wrong uses of ``create_etl_pipeline``, custom stages and results."""

from __future__ import annotations

from functions import length, text

from mainstem import PipelineContext, PipelineStage, StageResult, create_etl_pipeline


def extract() -> list[int]:
    return [1]


def load(words: list[str]) -> int:
    return len(words)


def load_numbers(numbers: list[int]) -> int:
    return len(numbers)


create_etl_pipeline(extract, length, load)  # expect: arg-type, misc, reportArgumentType, reportCallIssue
create_etl_pipeline(extract, text, load_numbers)  # expect: arg-type, misc, reportArgumentType, reportCallIssue
create_etl_pipeline(extract, text, load).run(3)  # expect: arg-type, reportArgumentType


class WrongOutput(PipelineStage[int, str]):
    async def process(self, data: int, context: PipelineContext) -> StageResult[str]:
        return StageResult(data=data)  # expect: arg-type, reportReturnType


class WrongInput(PipelineStage[int, str]):
    async def process(self, data: str, context: PipelineContext) -> StageResult[str]:  # expect: override, reportIncompatibleMethodOverride
        return StageResult(data=data)


class NotAsync(PipelineStage[int, str]):
    def process(self, data: int, context: PipelineContext) -> StageResult[str]:  # expect: override, reportIncompatibleMethodOverride
        return StageResult(data=str(data))


class NoProcess(PipelineStage[int, str]): ...


NoProcess()  # expect: abstract, reportAbstractUsage
StageResult(3)  # expect: call-arg, reportCallIssue
