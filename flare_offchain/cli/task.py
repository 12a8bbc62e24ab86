"""`flare task`: create tasks, pay for them, take part in them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flare_offchain.cli.amounts import ether_text, wei_of
from flare_offchain.cli.options import OpenNetwork, Output, TaskChoice, add_command
from flare_offchain.cli.output import progress
from flare_offchain.cli.reading import choose_task, read_tasks
from flare_offchain.core.errors import ConfigurationError, TransactionReverted

if TYPE_CHECKING:
    from flare_offchain.blockchain.contracts import TaskRules
    from flare_offchain.cli.taskfile import TaskFile
    from flare_offchain.consensus.capture import CaptureRow
    from flare_offchain.core.types import ContentId

app = typer.Typer(help="Create tasks, pay for them, take part in them.", no_args_is_help=True)


def create(
    network: OpenNetwork,
    output: Output,
    spec: Annotated[Path, typer.Argument(metavar="SPEC.toml", help="The task: see scripts/examples/digits_task.toml.")],
    budget: Annotated[str | None, typer.Option(metavar="ETH", help="The first budget, instead of the file's.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Create it although the same task is open already.")] = False,
    yes_unsafe: Annotated[
        bool, typer.Option("--yes-unsafe", help="Create it although few attackers could capture a round's committee.")
    ] = False,
) -> None:
    """Put spec, genesis model and probe pool into the store and create the task.

    Shows how likely attackers capture a round's committee, and how long a round can take; refuses committees
    that a fifth of the workers may well capture in one of the task's rounds. Repeated after an
    interruption, it finds the task that was created and says so.

    Example: flare task create scripts/examples/digits_task.toml --run net --key dev:0
    """
    from flare_offchain.cli.taskfile import read_task_file

    task = read_task_file(spec)
    amount = task.budget if budget is None else wei_of(budget)
    longest = _check_rules(network, task.rules)
    _show_capture(task, longest, output)
    _require_safe(task, yes_unsafe)
    store = network.store
    spec_id, genesis = store.put(task.spec.encode()), store.put(task.genesis)
    if task.pool is not None:
        store.put(task.pool)
    number = None if again else _same_task(network, spec_id, genesis, task.rules)
    event = "found" if number is not None else "created"
    if number is None:
        coordinator = network.coordinator
        sent = coordinator.create_task(network.account, task.rules, spec_id, genesis, budget=amount)
        number = coordinator.created_task(sent)
    _show_created(network, output, task, event, number, spec_id, genesis, longest)


def fund(
    network: OpenNetwork,
    output: Output,
    amount: Annotated[str, typer.Option("--amount", metavar="ETH", help='How much: 0.5, "20 gwei".')],
    task: TaskChoice = None,
) -> None:
    """Pay into a task's budget.

    Example: flare task fund --task 1 --amount 0.5 --run net --key dev:0
    """
    number, wei = choose_task(network, task), wei_of(amount)
    network.coordinator.fund_task(network.account, number, wei).confirmed()
    budget = network.coordinator.task(number).budget
    output.result(
        f"task {number} has {ether_text(budget)} to spend",
        {"event": "task funded", "task": number, "amount_wei": str(wei), "budget_wei": str(budget)},
    )


def list_tasks(network: OpenNetwork, output: Output) -> None:
    """List the tasks of the coordinator.

    Example: flare task list --run net
    """
    from flare_offchain.storage.cid import cid_string

    coordinator, rows = network.coordinator, []
    for number in range(1, coordinator.task_count() + 1):
        view = coordinator.task(number)
        output.emit(
            {
                "event": "task",
                "task": number,
                "owner": view.owner,
                "status": view.status.name,
                "round": view.round,
                "max_rounds": view.rules.max_rounds,
                "enrolled": view.enrolled,
                "invite_only": view.rules.invite_only,
                "budget_wei": str(view.budget),
                "round_reward_wei": str(view.rules.round_reward),
                "spec_cid": cid_string(view.spec),
                "model_cid": cid_string(view.model),
            }
        )
        status = f"{view.status.name.lower()}{', by invitation' if view.rules.invite_only else ''}"
        rounds = f"{view.round} of {view.rules.max_rounds}"
        rows.append((number, status, rounds, view.enrolled, ether_text(view.budget), view.owner))
    output.table("", ("task", "status", "rounds", "enrolled", "budget", "owner"), rows)
    if not rows:
        output.say("there is no task yet: create one with `flare task create`")


def invite(
    network: OpenNetwork,
    output: Output,
    workers: Annotated[list[str], typer.Argument(metavar="WORKER…", help="Addresses, or key files or folders.")],
    task: TaskChoice = None,
) -> None:
    """Invite workers to a task that is open by invitation only.

    Example: flare task invite 0x8ba1f109551bD432803012645Ac136ddd64DBA72 --task 1 --run net --key dev:0
    """
    from flare_offchain.cli.accounts import named_address

    number, addresses = choose_task(network, task), [named_address(worker) for worker in workers]
    network.coordinator.invite(network.account, number, addresses).confirmed()
    output.result(
        f"{len(addresses)} workers are invited to task {number}",
        {"event": "invited", "task": number, "workers": addresses},
    )


def join(network: OpenNetwork, output: Output, task: TaskChoice = None) -> None:
    """Enrol in a task; it counts from the next round that is opened.

    Example: flare task join --task 1 --run net --key dev:1
    """
    number, address = choose_task(network, task), network.address
    enrolment = network.coordinator.enrolment(number, address)
    event = "already enrolled" if enrolment.enrolled else "enrolled"
    if not enrolment.enrolled:
        if not network.registry.active_key(address):
            raise ConfigurationError(
                f"{address} is no active worker (registered, bonded, no exit requested): `flare worker register` first"
            )
        network.coordinator.enrol(network.account, number).confirmed()
        enrolment = network.coordinator.enrolment(number, address)
    output.result(
        f"{address} is {event} in task {number}, from round {enrolment.from_round} on",
        {"event": event, "task": number, "account": address, "from_round": enrolment.from_round},
    )


def leave(network: OpenNetwork, output: Output, task: TaskChoice = None) -> None:
    """End the enrolment, from the next round on. The bond stays: see `flare worker leave`.

    Example: flare task leave --task 1 --run net --key dev:1
    """
    number, address = choose_task(network, task), network.address
    if not network.coordinator.enrolment(number, address).enrolled:
        output.result(
            f"{address} is not enrolled in task {number}",
            {"event": "not enrolled", "task": number, "account": address},
        )
        return
    network.coordinator.leave(network.account, number).confirmed()
    output.result(f"{address} has left task {number}", {"event": "left", "task": number, "account": address})


def end(network: OpenNetwork, output: Output, task: TaskChoice = None) -> None:
    """End a task, between rounds, and pay its owner what no finalized round has earned.

    Example: flare task end --task 1 --run net --key dev:0
    """
    from flare_offchain.blockchain.contracts import TaskStatus

    number, coordinator = choose_task(network, task), network.coordinator
    view = coordinator.task(number)
    if view.status is TaskStatus.Open:
        coordinator.end_task(network.account, number).confirmed()
        view = coordinator.task(number)
    paid = view.budget if view.owner == network.address else 0
    if paid:
        coordinator.withdraw_remainder(network.account, number).confirmed()
    text = f"{ether_text(paid)} paid back" if paid else f"{ether_text(view.budget)} left for its owner to withdraw"
    output.result(
        f"task {number} has ended, {text}",
        {"event": "task ended", "task": number, "withdrawn_wei": str(paid)},
    )


def _check_rules(network: OpenNetwork, rules: TaskRules) -> int:
    """Return the longest round in seconds. Raises `ConfigurationError` where the contract would refuse the rules."""
    from flare_offchain.core.types import ContentId

    delay = network.registry.unbonding_delay()
    # Only the rules are looked at here: any valid content id will do.
    example = ContentId(bytes([1] * 32), 1)
    try:
        network.coordinator.check_task(rules, example, example, delay)
    except TransactionReverted as error:
        if error.error == "RoundTooLong":
            raise ConfigurationError(
                f"a round can take longer than the unbonding delay of {delay:,} s: shorten durations or attempts in "
                f"[rules] ({error})"
            ) from error
        raise ConfigurationError(f"[rules] are not what the contract takes: {error}") from error
    return network.coordinator.longest_round(rules)


def _same_task(network: OpenNetwork, spec: ContentId, genesis: ContentId, rules: TaskRules) -> int | None:
    """Return the account's own open task with these objects and rules, if there is one."""
    from flare_offchain.blockchain.contracts import TaskStatus

    for history in read_tasks(network).values():
        if (history.owner, history.spec, history.genesis) == (network.address, spec, genesis):
            view = network.coordinator.task(history.task_id)
            if view.status is TaskStatus.Open and view.rules == rules:
                return history.task_id
    return None


def _show_capture(task: TaskFile, longest: int, output: Output) -> None:
    from flare_offchain.consensus.capture import capture_table

    rules = task.rules
    progress(f"computing how likely attackers among {task.workers} workers capture a committee")
    rows = capture_table(task.workers, rules.expected_committee, rules.threshold_basis_points, rules.max_seats)
    title = (
        f"probability that attackers capture a round's committee: {task.workers} workers, "
        f"{rules.expected_committee} seats expected, quorum {rules.threshold_basis_points / 100:g} % of the seats"
    )
    shown = [(f"{float(r.fraction):.0%}", r.malicious, f"{float(r.probability):.3g}", _odds(r)) for r in rows]
    output.table(title, ("attackers", "of them", "a round", "one round in"), shown)
    output.say(f"a round takes at most {longest:,} s")
    for row in rows:
        output.emit(
            {
                "event": "capture",
                "workers": task.workers,
                "malicious": row.malicious,
                "share": float(row.fraction),
                "probability": float(row.probability),
            }
        )


def _require_safe(task: TaskFile, yes_unsafe: bool) -> None:
    """Raise `ConfigurationError` for a committee that is unsafe (docs/threat-model.md), unless that is wanted."""
    from flare_offchain.consensus.capture import UNSAFE_PROBABILITY, UNSAFE_SHARE, unsafe_probability

    rules = task.rules
    chance = unsafe_probability(
        task.workers, rules.expected_committee, rules.threshold_basis_points, rules.max_seats, rules.max_rounds
    )
    if chance is None:
        return
    text = (
        f"unsafe: if {float(UNSAFE_SHARE):.0%} of {task.workers} workers acted together, they would capture one of "
        f"{rules.max_rounds:,} rounds with probability {chance:.3g} (limit: {UNSAFE_PROBABILITY:g})"
    )
    if not yes_unsafe:
        raise ConfigurationError(
            f"{text}; raise expected_committee or threshold_basis_points, or create it with --yes-unsafe"
        )
    progress(text)


def _odds(row: CaptureRow) -> str:
    """Return after how many rounds a capture is to be expected."""
    if not row.probability:
        return "never"
    rounds = 1 / row.probability
    return f"{round(rounds):,}" if rounds < 10**7 else f"{float(rounds):.2g}"


def _show_created(
    network: OpenNetwork,
    output: Output,
    task: TaskFile,
    event: str,
    number: int,
    spec: ContentId,
    genesis: ContentId,
    longest: int,
) -> None:
    from flare_offchain.storage.cid import cid_string

    budget = network.coordinator.task(number).budget
    probe = task.spec.probe
    output.emit(
        {
            "event": event,
            "task": number,
            "spec_cid": cid_string(spec),
            "genesis_cid": cid_string(genesis),
            "pool_cid": None if probe is None else cid_string(probe.pool),
            "parameters": task.parameters,
            "longest_round": longest,
            "budget_wei": str(budget),
        }
    )
    verb = "is open already with the same spec, model and rules" if event == "found" else "is created"
    output.say(f"task {number} {verb}; budget {ether_text(budget)}")
    rows = [("spec", cid_string(spec)), (f"genesis model ({task.parameters:,} parameters)", cid_string(genesis))]
    if probe is not None:
        rows.append((f"probe pool ({probe.count} drawn each round)", cid_string(probe.pool)))
    output.table("", ("object", "CID"), rows)


add_command(app, "create", create, key=True, store=True, writes=True)
add_command(app, "fund", fund, key=True, writes=True)
add_command(app, "list", list_tasks)
add_command(app, "invite", invite, key=True, writes=True)
add_command(app, "join", join, key=True, writes=True)
add_command(app, "leave", leave, key=True, writes=True)
add_command(app, "end", end, key=True, writes=True)
