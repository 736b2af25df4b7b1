"""Naming what a source reads and a sink writes, by the rules that OpenLineage has for it, and without secrets.

Source: OpenLineage's ``spec/Naming.md``. A namespace is the data source, as ``scheme://authority``, and a name is the
dataset in it. For kinds that it says nothing of (SQLite, DuckDB, web servers, brokers but Kafka) the same is done.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_MAGIC = re.compile(r"[*?\[]")
_WITH_CONTAINER = frozenset(("abfs", "abfss", "wasb", "wasbs"))
"""Schemes whose URLs have a container before the @, where others have a user."""
_SAME_STORE = {"s3a": "s3", "s3n": "s3", "gcs": "gs", "azure": "az"}
_SAME_DATABASE = {"postgresql": "postgres", "mariadb": "mysql", "mssql": "sqlserver"}
_SAME_BROKER = {"amqps": "amqp", "mqtts": "mqtt", "rediss": "redis", "tls": "nats"}
_PORTS = {
    "amqp": 5672,
    "kafka": 9092,
    "mqtt": 1883,
    "mysql": 3306,
    "nats": 4222,
    "oracle": 1521,
    "postgres": 5432,
    "redis": 6379,
    "sqlserver": 1433,
}
_SCHEMAS = {"postgres": "public", "sqlserver": "dbo"}
"""The schema of a table that names none."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """What a source reads or a sink writes, as OpenLineage names it.

    Attributes:
        namespace: The data source: ``file``, ``s3://bucket``, ``postgres://host:5432``.
        name: The dataset in it: a path, ``database.schema.table``, a topic.

    Example:
        >>> from mainstem.connect import CsvSink
        >>> CsvSink("/data/people.csv").datasets
        (Dataset(namespace='file', name='/data/people.csv'),)
    """

    namespace: str
    name: str


def file_dataset(path: str | os.PathLike[str]) -> Dataset:
    """Name a file, or the folder of the files that fit a pattern.

    Example:
        >>> file_dataset("s3://shop/orders/2026-*.csv")
        Dataset(namespace='s3://shop', name='orders')
    """
    text = os.fspath(path)
    found = _URL.match(text)
    if found is None:
        return Dataset("file", _folder_of(os.path.abspath(text)))  # noqa: PTH100 - a pattern is no path
    scheme = found[1].lower()
    if scheme == "file":
        return Dataset("file", _folder_of(unquote(text.partition("://")[2].partition("/")[2], errors="replace"), "/"))
    if scheme in ("http", "https"):
        return web_dataset(text)
    authority, _, rest = text[found.end() :].partition("/")
    scheme = _SAME_STORE.get(scheme, scheme)
    if scheme not in _WITH_CONTAINER:
        authority = authority.rpartition("@")[2]
    return Dataset(f"{scheme}://{authority}" if authority else scheme, _folder_of(rest.partition("?")[0]) or "/")


def _folder_of(path: str, root: str = "") -> str:
    found = _MAGIC.search(path)
    return root + (path if found is None else path[: found.start()].rpartition("/")[0])


def web_dataset(url: str) -> Dataset:
    """Name what a web server gives, without its parameters.

    Example:
        >>> web_dataset("https://me:hunter2@api.example.com/v1/users?token=abc")
        Dataset(namespace='https://api.example.com', name='/v1/users')
    """
    scheme, _, rest = url.partition("://")
    parts = _without_user(rest)
    return Dataset(f"{scheme}://{parts.netloc}", parts.path or "/")


def table_dataset(url: str, table: str) -> Dataset:
    """Name a table of the database that a URL is of.

    Example:
        >>> table_dataset("postgresql://me:hunter2@db/shop", "orders")
        Dataset(namespace='postgres://db:5432', name='shop.public.orders')
        >>> table_dataset("sqlite:////var/shop.db", "orders")
        Dataset(namespace='sqlite:///var/shop.db', name='orders')
    """
    scheme, _, rest = url.partition("://")
    kind = scheme.partition("+")[0].lower()
    if kind in ("sqlite", "duckdb"):
        file = rest.removeprefix("/").partition("?")[0]
        in_memory = file in ("", ":memory:")
        return Dataset(f"{kind}://{':memory:' if in_memory else os.path.abspath(file)}", table)  # noqa: PTH100
    kind = _SAME_DATABASE.get(kind, kind)
    parts = _without_user(rest)
    options = parse_qs(parts.query)
    user = re.match(r"([^:/?#@]+)(?=[:@])", rest)  # whose name the database has, if it is not named
    database = _option(options, "dbname") or unquote(parts.path.strip("/")) or unquote(user[1] if user else "") or kind
    path = [database, *table.split(".")]
    if kind in _SCHEMAS and len(path) == 2:
        path.insert(1, _SCHEMAS[kind])
    return Dataset(f"{kind}://{_authority(kind, parts, options)}", ".".join(path))


def channel_dataset(url: str, channel: str) -> Dataset:
    """Name a topic, queue, stream or subject of the broker that a URL is of.

    Example:
        >>> channel_dataset("kafka://one:9092,two:9092", "orders")
        Dataset(namespace='kafka://one:9092', name='orders')
    """
    scheme, _, rest = url.partition("://")
    kind = _SAME_BROKER.get(scheme.lower(), scheme.lower())
    return Dataset(f"{kind}://{_authority(kind, _without_user(rest), {})}", channel)


def _without_user(rest: str) -> SplitResult:
    """Read what comes after ``://`` in a URL, without user and password, even one that is not written as it must be."""
    before, mark, parameters = rest.partition("?")
    return urlsplit(f"//{before.rpartition('@')[2]}{mark}{parameters}")


def _authority(kind: str, parts: SplitResult, options: dict[str, list[str]]) -> str:
    """Return host and port of the first server that is named, without user and password."""
    found = re.fullmatch(r"(\[[^\]]*\]|[^:]*):?(\d*).*", parts.netloc.partition(",")[0])
    host, port = found.groups() if found else ("", "")
    host = host or _option(options, "host").partition(",")[0]
    if not host or host.startswith("/"):  # a socket of this machine
        host = "localhost"
    port = port or _option(options, "port").partition(",")[0] or str(_PORTS.get(kind, ""))
    return f"{host}:{port}" if port else host


def _option(options: dict[str, list[str]], name: str) -> str:
    return options.get(name, [""])[0]
