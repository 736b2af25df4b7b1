"""Datasets are named by OpenLineage's rules, and without secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from mainstem.datasets import Dataset, channel_dataset, file_dataset, table_dataset, web_dataset


@pytest.mark.parametrize(
    ("url", "namespace", "name"),
    [
        ("/data/in.csv", "file", "/data/in.csv"),
        ("/data/2026-*/in.csv", "file", "/data"),
        ("file:///data/a%20b.csv", "file", "/data/a b.csv"),
        ("s3://shop/orders/in.csv", "s3://shop", "orders/in.csv"),
        ("s3a://shop/orders/*.csv", "s3://shop", "orders"),
        ("gs://shop/", "gs://shop", "/"),
        ("az://container/in.csv", "az://container", "in.csv"),
        (
            "abfss://container@account.dfs.core.windows.net/a/in.csv",
            "abfss://container@account.dfs.core.windows.net",
            "a/in.csv",
        ),
        ("memory://x/in.csv", "memory://x", "in.csv"),
        ("sftp://me:hunter2@host/in.csv", "sftp://host", "in.csv"),
        ("https://me:hunter2@host:8443/in.csv?token=abc", "https://host:8443", "/in.csv"),
    ],
)
def test_a_file(url: str, namespace: str, name: str) -> None:
    assert file_dataset(url) == Dataset(namespace, name)


def test_a_relative_path_is_named_in_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert file_dataset(Path("in.csv")) == Dataset("file", str(tmp_path / "in.csv"))
    assert table_dataset("sqlite:///shop.db", "t") == Dataset(f"sqlite://{tmp_path}/shop.db", "t")


@pytest.mark.parametrize(
    ("url", "table", "namespace", "name"),
    [
        ("postgresql://me:hunter2@db/shop", "orders", "postgres://db:5432", "shop.public.orders"),
        ("postgres://db:6543/shop", "sales.orders", "postgres://db:6543", "shop.sales.orders"),
        ("postgresql:///shop?host=/var/run/postgresql&port=6543", "t", "postgres://localhost:6543", "shop.public.t"),
        ("postgresql://one:5431,two:5432/shop", "t", "postgres://one:5431", "shop.public.t"),
        ("postgresql://[::1]:5433/shop", "t", "postgres://[::1]:5433", "shop.public.t"),
        ("postgresql://me@db", "t", "postgres://db:5432", "me.public.t"),
        ("postgresql://db/x?dbname=shop&password=hunter2", "t", "postgres://db:5432", "shop.public.t"),
        ("postgresql://me:hunt/er2@db/shop", "t", "postgres://db:5432", "shop.public.t"),
        ("mysql+pymysql://me:hunter2@db/shop", "orders", "mysql://db:3306", "shop.orders"),
        ("mariadb+pymysql://db:3307/shop", "orders", "mysql://db:3307", "shop.orders"),
        ("mssql+pyodbc://me:hunter2@db/shop", "orders", "sqlserver://db:1433", "shop.dbo.orders"),
        ("sqlite:////var/shop.db", "orders", "sqlite:///var/shop.db", "orders"),
        ("sqlite://", "orders", "sqlite://:memory:", "orders"),
        ("duckdb:////var/shop.duckdb", "main.orders", "duckdb:///var/shop.duckdb", "main.orders"),
    ],
)
def test_a_table(url: str, table: str, namespace: str, name: str) -> None:
    found = table_dataset(url, table)
    assert found == Dataset(namespace, name)
    assert "hunt" not in repr(found)


@pytest.mark.parametrize(
    ("url", "namespace"),
    [
        ("kafka://one:9092,two:9093", "kafka://one:9092"),
        ("kafka://one", "kafka://one:9092"),
        ("rediss://:hunter2@host:6380/1", "redis://host:6380"),
        ("amqps://me:hunter2@host/vhost", "amqp://host:5672"),
        ("tls://host:4222", "nats://host:4222"),
        ("mqtt://me:hunter2@host", "mqtt://host:1883"),
    ],
)
def test_a_channel_of_a_broker(url: str, namespace: str) -> None:
    assert channel_dataset(url, "orders") == Dataset(namespace, "orders")


def test_what_a_web_service_gives() -> None:
    assert web_dataset("http://me:hunter2@host") == Dataset("http://host", "/")
    assert web_dataset("https://host/v1/users?api_key=abc#x") == Dataset("https://host", "/v1/users")
