"""Export orders from a database to an outside service, in batches, and never faster than it allows.

Each batch is sent by a small pipeline of its own, whose hook waits for the limiter of pyrate-limiter; the stages know
nothing of the limit. Here the outside service is a folder or a bucket, and a batch a Parquet file in it; run it with

    mainstem run examples/data_export.py:pipeline --set database=sqlite:///shop.db --set folder=export

or from PostgreSQL into S3, with ``--set database=postgresql://… --set folder=s3://bucket/export``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyrate_limiter import Duration, Limiter, Rate

from mainstem import (
    AggregateStage,
    BatchStage,
    LoadReport,
    MapStage,
    Pipeline,
    PipelineContext,
    Sum,
)
from mainstem.connect import ParquetSink, SqlSource


@dataclass(frozen=True, slots=True)
class Order:
    id: int
    customer: str
    cents: int


@dataclass(frozen=True, slots=True)
class ExportedOrder:
    order_id: str
    customer: str
    total: str


def to_exported(order: Order) -> ExportedOrder:
    return ExportedOrder(f"ORD-{order.id:06}", order.customer.strip().title(), f"{order.cents / 100:.2f}")


class RateLimit:
    """A bundle of hooks that waits before each stage until the limit allows one more."""

    def __init__(self, per_second: int) -> None:
        self._limiter = Limiter(Rate(per_second, Duration.SECOND))

    async def before_stage(self, stage: str, data: Any, context: PipelineContext) -> None:
        await self._limiter.try_acquire_async("export")


class BatchSender:
    """Sends one batch after another to the folder, each through a rate-limited pipeline."""

    def __init__(self, folder: str, storage_options: Mapping[str, Any] | None, per_second: int) -> None:
        self._folder, self._storage_options = folder, storage_options
        self._limit = RateLimit(per_second)

    async def __call__(self, batch: list[ExportedOrder]) -> int:
        file = f"{self._folder}/{batch[0].order_id}.parquet"  # sent again, it takes the place of itself
        sink = ParquetSink(file, schema=ExportedOrder, storage_options=self._storage_options)
        send = Pipeline[list[ExportedOrder], LoadReport]("send_batch").add_stage(sink).add_hooks(self._limit)
        result = await send.execute(batch)
        return result.unwrap().records_loaded


def pipeline(
    database: str = "sqlite:///shop.db",
    folder: str = "export",
    batch_size: int = 100,
    batches_per_second: int = 5,
    storage_options: Mapping[str, Any] | None = None,
) -> Pipeline[None, int, int]:
    """Make the pipeline; it gives the number of orders sent.

    Args:
        database: Where the orders are.
        folder: Where the batches go: a folder, which is made if it is absent, or the URL of one.
        batch_size: Orders in a batch.
        batches_per_second: What the outside service allows.
        storage_options: How a URL is opened, such as ``{"region": "eu-west-1"}``.
    """
    if "://" not in folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
    return (
        Pipeline[None, int]("data_export")
        .add_stage(SqlSource(database, "SELECT id, customer, cents FROM orders ORDER BY id", record_type=Order))
        .add_stage(MapStage(to_exported))
        .add_stage(BatchStage(batch_size))
        .add_stage(MapStage(BatchSender(folder, storage_options, batches_per_second)))
        .add_stage(AggregateStage(Sum[int]()))
    )
