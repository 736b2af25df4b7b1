"""The export of orders from PostgreSQL to S3: in batches, each order once, in order."""

from __future__ import annotations

from typing import Any

import obstore
import psycopg
import pytest
from examples import data_export
from tests.connect.file_servers import Bucket
from tests.connect.file_servers import bucket as bucket

from mainstem import Pipeline
from mainstem.connect import ParquetSource

pytestmark = [pytest.mark.extras, pytest.mark.timeout(60)]


def test_orders_of_postgres_are_exported_to_s3_in_batches(bucket: Bucket, postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        connection.execute("CREATE TABLE orders (id bigint PRIMARY KEY, customer text, cents bigint)")
        connection.execute("INSERT INTO orders SELECT n, ' ada ', 250 * n FROM generate_series(1, 25) n")
    export = data_export.pipeline(
        postgres_url,
        f"{bucket.url}/export",
        batch_size=10,
        batches_per_second=100,
        storage_options=bucket.options,
    )
    assert export.run().unwrap() == 25
    source: Any = ParquetSource(f"{bucket.url}/export/*.parquet", storage_options=bucket.options)
    orders = Pipeline[Any, Any]("read").add_stage(source).run().unwrap()
    assert [order["order_id"] for order in orders] == [f"ORD-{number:06}" for number in range(1, 26)]
    assert orders[24] == {"order_id": "ORD-000025", "customer": "Ada", "total": "62.50"}
    assert len(obstore.list(bucket.store).collect()) == 3
