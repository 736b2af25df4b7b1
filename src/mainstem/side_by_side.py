"""Running a few tasks side by side, of which one may end the others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import anyio


async def run_side_by_side(tasks: Sequence[Callable[[], Awaitable[bool]]]) -> None:
    """Run each task concurrently until all are done; one that returns ``False`` cancels the others.

    Raises:
        BaseException: What a task raised, as it is: a task group would wrap it in an exception group.
    """
    raised: list[BaseException] = []

    async def run(task: Callable[[], Awaitable[bool]]) -> None:
        try:
            go_on = await task()
        except anyio.get_cancelled_exc_class() as cancelled:
            if not group.cancel_scope.cancel_called:
                # Not this group's doing. If it comes from within the task (asyncio: it awaited something that was
                # cancelled), the group ends as if all were well, with this task's work undone.
                raised.append(cancelled)
            raise
        except BaseException as error:
            raised.append(error)
            go_on = False
        if not go_on:
            group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        for task in tasks:
            group.start_soon(run, task)
    if raised:
        raise raised[0]
