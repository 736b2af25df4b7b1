"""Durable runs into object stores: whatever is killed, and whoever wakes up late, each batch is in the file once."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import obstore
import polars as pl
import pytest
from tests.connect.file_servers import Bucket
from tests.connect.file_servers import bucket as bucket

from mainstem import ConnectError, Guarantee, LeaseLostError, Pipeline, StageContractError
from mainstem.connect import CsvSink, CsvSource, JsonLinesSink, ParquetSink
from mainstem.connect.object_batches import ObjectBatches
from mainstem.connect.object_manifest import ObjectManifest
from mainstem.connect.object_store import ObstoreStore
from mainstem.endpoints import Claim

pytestmark = pytest.mark.extras
RUN = "pipeline/run"


class KilledError(BaseException):
    """What ends an attempt in the middle."""


class MortalStore(ObstoreStore):
    """A store that is killed at its n-th request: before it, or when it is done and the answer under way."""

    def __init__(self, bucket: Bucket, requests: int | None = None, *, after: bool = False) -> None:
        super().__init__(bucket.url, bucket.options)
        self.left, self.after, self.asked = requests, after, 0

    def _mortal(self, ask: Callable[..., Any], *args: Any) -> Any:
        self.asked += 1
        dies = self.left is not None and self.asked > self.left
        if dies and not self.after:
            raise KilledError
        answer = ask(*args)
        if dies:
            raise KilledError
        return answer

    def list(self, folder: str) -> Any:
        return iter(self._mortal(lambda: [*super(MortalStore, self).list(folder)]))

    def find(self, path: str) -> Any:
        return self._mortal(super().find, path)

    def put(self, path: str, content: Any) -> None:
        self._mortal(super().put, path, content)

    def put_if(self, path: str, content: bytes, e_tag: str | None) -> bool:
        return bool(self._mortal(super().put_if, path, content, e_tag))

    def delete(self, paths: Any) -> None:
        for path in paths:
            self._mortal(super().delete, [path])


BATCHES = [b"first ", b"", b"second ", b"third"]


def attempt(store: ObstoreStore, epoch: int, path: str) -> None:
    """Write what is missing of the batches, as a run does."""
    batches, claim = ObjectBatches(store, path), Claim(RUN, epoch)
    done = batches.claim(claim)
    for number, content in enumerate(BATCHES[done:], done + 1):
        part = batches.begin(claim, number)
        try:
            part.layout = {"batch": number}
            part.write(content)
            part.commit()
        finally:
            part.discard()
    batches.complete(claim)


def content_of(bucket: Bucket, path: str) -> bytes:
    return bytes(obstore.get(bucket.store, path).bytes())


def paths_in(bucket: Bucket) -> list[str]:
    return sorted(each["path"] for found in obstore.list(bucket.store) for each in found)


@pytest.mark.parametrize(("path", "after"), [("out/w.txt", False), ("w.txt.gz", True)], ids=["before", "after"])
def test_killed_at_any_request_it_is_gone_on_with(bucket: Bucket, path: str, after: bool) -> None:
    whole = MortalStore(bucket)
    attempt(whole, 1, "whole/w.txt")
    assert whole.asked > 20
    for requests in range(whole.asked):
        name = f"{requests}/{path}"
        with pytest.raises(KilledError):
            attempt(MortalStore(bucket, requests, after=after), 1, name)
        attempt(MortalStore(bucket), 2, name)
        content = content_of(bucket, name)
        assert (gzip.decompress(content) if path.endswith(".gz") else content) == b"".join(BATCHES)
        left = [each for each in paths_in(bucket) if each.startswith(f"{requests}/")]
        assert [each.rpartition("/")[2] for each in left if each != name] == ["manifest"]
        ObjectBatches(MortalStore(bucket), name).forget(Claim(RUN, 2))
        assert [each for each in paths_in(bucket) if each.startswith(f"{requests}/")] == [name]


def test_killed_twice_it_is_gone_on_with(bucket: Bucket) -> None:
    for first in range(1, 20, 6):
        for second in range(0, 20, 4):
            name = f"{first}-{second}"
            for epoch, requests in enumerate((first, second), 1):
                with suppress(KilledError):  # the second may have come to its end
                    attempt(MortalStore(bucket, requests, after=bool(requests % 2)), epoch, name)
            attempt(MortalStore(bucket), 3, name)
            assert content_of(bucket, name) == b"".join(BATCHES)


def test_an_attempt_that_was_overtaken_can_do_nothing(bucket: Bucket) -> None:
    batches, late, new = ObjectBatches(MortalStore(bucket), "w"), Claim(RUN, 1), Claim(RUN, 2)
    batches.claim(late)
    begun = batches.begin(late, 1)
    begun.write(b"late")
    assert batches.claim(new) == 0
    with pytest.raises(LeaseLostError, match="taken by attempt 2, and this is attempt 1"):
        begun.commit()
    begun.discard()
    for act in (
        lambda: batches.begin(late, 1),
        lambda: batches.complete(late),
        lambda: batches.claim(late),
        lambda: batches.forget(late),
    ):
        with pytest.raises(LeaseLostError, match="taken by attempt 2"):
            act()
    part = batches.begin(new, 1)
    part.write(b"new")
    part.commit()
    batches.complete(new)
    assert content_of(bucket, "w") == b"new"


def test_two_who_take_a_run_at_once_do_not_both_have_it(bucket: Bucket) -> None:
    """Between the reading and the writing of one comes the other."""
    first, second = Claim(RUN, 1), Claim(RUN, 2)

    class Interrupted(MortalStore):
        def put_if(self, path: str, content: bytes, e_tag: str | None) -> bool:
            if self.left is None:
                self.left = 1000
                ObjectBatches(MortalStore(bucket), "w").claim(second)
            return super().put_if(path, content, e_tag)

    with pytest.raises(LeaseLostError, match="taken by attempt 2"):
        ObjectBatches(Interrupted(bucket), "w").claim(first)


def test_an_answer_that_is_lost_on_the_way_is_no_conflict(bucket: Bucket) -> None:
    """The request is sent again, and refused because it was done."""

    class Forgetful(MortalStore):
        def put_if(self, path: str, content: bytes, e_tag: str | None) -> bool:
            assert super().put_if(path, content, e_tag)
            return super().put_if(path, content, e_tag)

    attempt(Forgetful(bucket), 1, "w")
    assert content_of(bucket, "w") == b"".join(BATCHES)


def test_batches_follow_one_another(bucket: Bucket) -> None:
    batches, claim = ObjectBatches(MortalStore(bucket), "w"), Claim(RUN, 1)
    batches.claim(claim)
    with pytest.raises(StageContractError, match="batch 2 was begun, and the last of the run is 0"):
        batches.begin(claim, 2)
    batches.complete(claim, b"header")
    assert content_of(bucket, "w") == b"header"
    with pytest.raises(StageContractError, match="with which the file was completed"):
        batches.begin(claim, 1)
    obstore.put(bucket.store, "w", b"somebody else's")
    batches.complete(claim, b"header")
    assert content_of(bucket, "w") == b"somebody else's"


def test_a_manifest_that_is_damaged_or_gone_is_seen(bucket: Bucket) -> None:
    batches, claim = ObjectBatches(MortalStore(bucket), "w"), Claim(RUN, 1)
    batches.claim(claim)
    (path,) = paths_in(bucket)
    obstore.put(bucket.store, path, b"{}")
    with pytest.raises(ConnectError, match=r"manifest cannot be used: it is damaged"):
        batches.begin(claim, 1)
    obstore.put(bucket.store, path, ObjectManifest(run="other", target="w", epoch=1).encode())
    with pytest.raises(ConnectError, match="is of 'other', another run"):
        batches.begin(claim, 1)
    obstore.delete(bucket.store, path)
    with pytest.raises(LeaseLostError, match="somebody has removed"):
        batches.begin(claim, 1)


def test_batches_without_a_gap_take_no_room_in_the_manifest() -> None:
    manifest = ObjectManifest(run=RUN, target="w", epoch=1)
    for number in range(1, 1001):
        manifest = manifest.with_batch(None, wrote=number != 500)
    assert len(manifest.parts) == 2
    assert len(manifest.part_names()) == 999
    assert ObjectManifest.decode(manifest.encode()) == manifest


def test_a_store_without_conditional_writes_is_refused(tmp_path: Path) -> None:
    sink = CsvSink("memory://folder/w.csv")
    result = Pipeline[Any, Any]("write").add_stage(sink).run([{"n": 1}], store=tmp_path / "runs.db", run_id="a")
    assert "its store knows no conditional writes, as s3, gs and az do" in str(result.error)


def run_durably(sink: Any, folder: Path, data: Any, stage: Any = None) -> Any:
    pipeline = Pipeline[Any, Any]("write")
    for each in filter(None, (stage, sink)):
        pipeline = pipeline.add_stage(each)
    return pipeline.run(data, store=folder / "runs.db", run_id="a", commit_every=100)


@pytest.mark.parametrize("ending", ["", ".gz", ".zst"])
@pytest.mark.parametrize("sink_of", [CsvSink, JsonLinesSink])
def test_a_run_that_failed_is_gone_on_with(bucket: Bucket, tmp_path: Path, sink_of: Any, ending: str) -> None:
    records = [{"n": str(number)} for number in range(1050)]
    url = f"{bucket.url}/w{ending}"
    sink = sink_of(url, storage_options=bucket.options)
    assert sink.durable_guarantee is Guarantee.EXACTLY_ONCE
    failing = sink_of(url, storage_options=bucket.options)
    calls: list[int] = []

    def fail_once(record: Any) -> Any:
        calls.append(1)
        if len(calls) == 700:
            raise RuntimeError("once")
        return record

    def pipeline(sink: Any) -> Any:
        return Pipeline[Any, Any]("write").map(fail_once).add_stage(sink)

    options: Any = {"store": tmp_path / "runs.db", "run_id": "a", "commit_every": 100}
    assert not pipeline(failing).run(records, **options).success
    assert "w" not in paths_in(bucket)
    result = pipeline(sink).run(records, **options)
    assert result.unwrap().records_loaded == 1050
    source: Any = CsvSource(url, storage_options=bucket.options)
    if sink_of is CsvSink:
        assert Pipeline[Any, Any]("read").add_stage(source).run().unwrap() == records
    else:
        assert pl.read_ndjson(content_of(bucket, f"w{ending}"))["n"].to_list() == [each["n"] for each in records]


def test_parquet_goes_there_too(bucket: Bucket, tmp_path: Path) -> None:
    sink = ParquetSink(f"{bucket.url}/w.parquet", schema={"n": pl.Int64}, storage_options=bucket.options)
    assert run_durably(sink, tmp_path, [{"n": n} for n in range(2500)]).unwrap().records_loaded == 2500
    assert pl.read_parquet(content_of(bucket, "w.parquet"))["n"].to_list() == list(range(2500))


def test_a_name_that_says_that_the_whole_is_compressed_is_refused_for_parquet() -> None:
    with pytest.raises(ValueError, match="not compressed as a whole"):
        ParquetSink("w.parquet.gz")
