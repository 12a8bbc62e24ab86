"""What commands read from a chain: the histories of its tasks, and which task and round is meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from flare_offchain.cli.network import OpenNetwork
    from flare_offchain.core.records import RoundHistory, TaskHistory


def read_tasks(network: OpenNetwork) -> dict[int, TaskHistory]:
    """Return the histories of all tasks, from the coordinator's events up to the newest block.

    Raises:
        InconsistentHistory: the events do not follow from one another.
        ChainUnavailable: the endpoint does not answer.
    """
    from flare_offchain.core.history import HistoryFold

    head = network.chain.head().number
    return HistoryFold().extend(network.coordinator.events(network.first_block, head)).tasks


def read_task(network: OpenNetwork, task: int | None) -> TaskHistory:
    """Return one task's history: the one that is named, or the only one. Raises as `read_tasks`; a usage error."""
    tasks = read_tasks(network)
    return tasks[_choose(task, len(tasks))]


def choose_task(network: OpenNetwork, task: int | None) -> int:
    """Return the task that is named, or the only one. Raises a usage error where there is none."""
    return _choose(task, network.coordinator.task_count())


def choose_round(task: TaskHistory, number: int | None) -> RoundHistory:
    """Return the round that is named, or the newest. Raises a usage error where there is none."""
    if not task.rounds:
        raise typer.BadParameter(f"task {task.task_id} has had no round yet")
    chosen = max(task.rounds) if number is None else number
    if chosen not in task.rounds:
        raise typer.BadParameter(f"task {task.task_id} has had {len(task.rounds)} rounds: there is no round {number}")
    return task.rounds[chosen]


def _choose(task: int | None, count: int) -> int:
    if count == 0:
        raise typer.BadParameter("there is no task yet: create one with `flare task create`")
    if task is None and count > 1:
        raise typer.BadParameter(f"there are {count} tasks: name one with --task")
    chosen = 1 if task is None else task
    if not 1 <= chosen <= count:
        raise typer.BadParameter(f"there is no task {task}: there are {count}")
    return chosen
