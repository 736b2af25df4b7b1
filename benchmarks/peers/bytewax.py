"""Bytewax: a dataflow run by one worker in this process, 1,000 records to a batch of its source."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from benchmarks.by_hand.pricing import Record, add_price, is_wanted, take_price
from benchmarks.by_hand.records import RECORDS
from benchmarks.measure import Contestant

operators: Any = import_module("bytewax.operators")
dataflow: Any = import_module("bytewax.dataflow")
testing: Any = import_module("bytewax.testing")


def total(records: list[Record]) -> object:
    prices: list[int] = []
    flow = dataflow.Dataflow("records")
    source = operators.input("source", flow, testing.TestingSource(records, batch_size=1000))
    priced = operators.map("add_price", source, add_price)
    wanted = operators.filter("is_wanted", priced, is_wanted)
    operators.output("sink", operators.map("take_price", wanted, take_price), testing.TestingSink(prices))
    testing.run_main(flow)
    return sum(prices)


ENTRIES = [(RECORDS, [Contestant("bytewax", total, package="bytewax", clock="wall")])]
