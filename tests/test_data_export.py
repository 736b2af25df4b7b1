"""The export of orders from PostgreSQL: in batches, each order once, in order."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest
from examples import data_export

pytestmark = [pytest.mark.extras, pytest.mark.timeout(60)]


def test_orders_of_postgres_are_exported_in_batches(tmp_path: Path, postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        connection.execute("CREATE TABLE orders (id bigint PRIMARY KEY, customer text, cents bigint)")
        connection.execute("INSERT INTO orders SELECT n, ' ada ', 250 * n FROM generate_series(1, 25) n")
    folder = tmp_path / "export"
    assert data_export.pipeline(postgres_url, folder, batch_size=10, batches_per_second=100).run().unwrap() == 25
    files = {file.name: [json.loads(line) for line in file.read_text().splitlines()] for file in folder.iterdir()}
    assert {name: len(orders) for name, orders in files.items()} == {
        "ORD-000001.jsonl": 10,
        "ORD-000011.jsonl": 10,
        "ORD-000021.jsonl": 5,
    }
    orders = [order for name in sorted(files) for order in files[name]]
    assert [order["order_id"] for order in orders] == [f"ORD-{number:06}" for number in range(1, 26)]
    assert orders[24] == {"order_id": "ORD-000025", "customer": "Ada", "total": "62.50"}
