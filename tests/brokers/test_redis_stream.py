"""What is Redis's alone: how many entries of a stream are pending, which the server can be asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.brokers.channels import Channel
from tests.brokers.test_brokers import into_table, numbers, stored

pytestmark = [pytest.mark.extras, pytest.mark.timeout(60)]


@pytest.mark.parametrize("commit_every", [10, 1000])
def test_no_more_entries_are_pending_than_the_prefetch(tmp_path: Path, commit_every: int) -> None:
    """Asked at each record, which is when entries are held, read ahead and acknowledged."""
    from redis import Redis

    channel = Channel("redis")
    channel.publish(numbers(300))
    pending: list[int] = []
    with Redis.from_url(channel.url) as client:

        def ask(record: Any) -> Any:
            answer: Any = client.xpending(channel.name, channel.name)
            pending.append(answer["pending"])
            return record

        result = into_table(channel, tmp_path, ask, until=300, prefetch=25).run(
            store=f"sqlite:///{tmp_path}/runs.db", run_id="a", commit_every=commit_every
        )
        assert result.success, result.error
        assert stored(tmp_path) == list(range(300))
        assert len(pending) == 300
        assert max(pending) <= 25
        assert max(pending) > 10, "nothing was read ahead"
        answer: Any = client.xpending(channel.name, channel.name)
        assert answer["pending"] == 0
