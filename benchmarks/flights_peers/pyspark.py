"""PySpark on two processors of this machine: data frames, written as CSV and sent by COPY.

COPY is quicker than the INSERTs of Spark's JDBC, whose driver no package has. The session is started by the first round
and kept by the others. A Java runtime is needed: Debian's default-jre-headless.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

sql: Any = import_module("pyspark.sql")
functions: Any = import_module("pyspark.sql.functions")
psycopg: Any = import_module("psycopg")
NAME, PACKAGE, TABLE = "PySpark, CSV by COPY", "pyspark", "flights"
_KEY = ["carrier", "flight", "origin", "scheduled"]


@cache
def session() -> Any:
    """Start Spark, until this process ends."""
    builder = sql.SparkSession.builder.master("local[2]").appName("flights")
    for name, value in {
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.memory": "4g",
        "spark.log.level": "ERROR",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "4",
        "spark.ui.enabled": "false",
    }.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def reshaped(departed: Any) -> Any:
    """Return the columns of the table."""
    col = functions.col
    scheduled = functions.unix_timestamp("time_hour") + col("minute") * 60
    delay = functions.coalesce(col("dep_delay"), functions.lit(0.0))
    return departed.select(
        "carrier",
        "flight",
        "origin",
        col("dest").alias("destination"),
        col("tailnum").alias("tail_number"),
        functions.timestamp_seconds(scheduled).alias("scheduled"),
        functions.timestamp_seconds(scheduled + delay * 60).alias("departed"),
        delay.alias("delay_minutes"),
        # Halves go to the even number in binary, as Python rounds, and not up in decimal, as Spark's round does.
        (functions.rint(col("distance") / (col("air_time") / 60) * 10) / 10).alias("miles_per_hour"),
    )


def load(flights: Path, database: str, folder: Path) -> int:
    schema = (
        "year int, month int, day int, dep_time int, sched_dep_time int, dep_delay double, arr_time int, "
        "sched_arr_time int, arr_delay double, carrier string, flight long, tailnum string, origin string, "
        "dest string, air_time double, distance int, hour int, minute int, time_hour timestamp"
    )
    lines = session().read.csv(str(flights), schema=schema, header=True, nullValue="NA", mode="FAILFAST")
    departed = functions.col("dep_time").isNotNull()
    lines.where(~departed).write.csv(str(folder / "rejects"))
    rows = reshaped(lines.where(departed)).dropDuplicates(_KEY)
    rows.write.csv(str(folder / "rows"), timestampFormat="yyyy-MM-dd'T'HH:mm:ssXXX")
    with psycopg.connect(database) as connection, connection.cursor() as cursor:
        cursor.execute("TRUNCATE flights")
        with cursor.copy("COPY flights FROM STDIN (FORMAT csv)") as copy:
            for part in (folder / "rows").glob("part-*"):
                with part.open("rb") as file:
                    while block := file.read(1 << 17):
                        copy.write(block)
    return sum(part.read_text().count("\n") for part in (folder / "rejects").glob("part-*"))
