"""Many processes that do the same at the same moment."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from typing import Any, Literal


def answers_at_once(
    many: int, work: Callable[..., None], *arguments: Any, method: Literal["fork", "forkserver"] = "forkserver"
) -> list[Any]:
    """Do work in so many processes, wait for all of them, and return what they answered.

    Args:
        many: How many.
        work: Is given the arguments, a barrier for all of them to wait at, and a queue to put one answer into.
        arguments: What else it is to know.
        method: How the processes are started.
    """
    context: Any = multiprocessing.get_context(method)
    barrier, answers = context.Barrier(many), context.Queue()
    processes = [context.Process(target=work, args=(*arguments, barrier, answers)) for _ in range(many)]
    for process in processes:
        process.start()
    found = [answers.get(timeout=50) for _ in processes]
    for process in processes:
        process.join()
    answers.close()
    answers.join_thread()
    return found
