"""`flare show`: what happened, from the chain's events and the committee's reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from flare_offchain.cli.amounts import ether_text
from flare_offchain.cli.options import OpenNetwork, Output, RoundChoice, TaskChoice, add_command
from flare_offchain.cli.output import moment
from flare_offchain.cli.reading import choose_round, read_task

if TYPE_CHECKING:
    from flare_offchain.core.records import ProposalRecord, RoundHistory
    from flare_offchain.federation.report import Report

app = typer.Typer(help="Show tasks, rounds, workers and updates.", no_args_is_help=True)
AMOUNT_RULES = ("roundReward", "fineAmount")


def task(network: OpenNetwork, output: Output, task: TaskChoice = None) -> None:
    """Show a task: its rules, its budget, and how each round went.

    Example: flare show task --run net
    """
    from flare_offchain.cli.views import round_record, task_record

    history = read_task(network, task)
    record, rounds = task_record(history), [round_record(history, r) for r in history.rounds.values()]
    for item in (record, *rounds):
        output.emit(item)
    rules = record.pop("rules")
    for name in ("funded", "rewards"):
        record[name] = ether_text(int(record.pop(f"{name}_wei")))
    record.pop("event")
    output.table("", ("", ""), [(name.replace("_", " "), value) for name, value in record.items()])
    shown = [(name, ether_text(value) if name in AMOUNT_RULES else value) for name, value in rules.items()]
    output.table("rules", ("", ""), shown)
    output.table(
        "rounds",
        ("round", "phase", "updates", "accepted", "seats", "attempts", "fines", "reward", "model"),
        [
            (
                r["round"],
                _outcome(r),
                r["updates"],
                r["accepted"],
                f"{r['seats']} (quorum {r['quorum']})",
                r["attempts"],
                r["fines"],
                ether_text(int(r["reward_wei"])),
                r["model_cid"],
            )
            for r in rounds
        ],
    )


def round_(network: OpenNetwork, output: Output, task: TaskChoice = None, number: RoundChoice = None) -> None:
    """Show a round: its phases, updates, seats, proposals, votes, fines and rewards.

    Example: flare show round --round 2 --run net
    """
    from flare_offchain.cli import views

    history = read_task(network, task)
    shown = choose_round(history, number)
    report, source = _report(network, shown)
    record, phases = views.round_record(history, shown), _phases(network, shown)
    updates = [views.update_record(history, shown, update, report) for update in shown.updates]
    seats, proposals = list(views.seat_records(shown)), list(views.proposal_records(shown))
    votes, fines = list(views.vote_records(shown)), list(views.fine_records(shown))
    rewards = list(views.reward_records(shown))
    for item in (record, *phases, *updates, *seats, *proposals, *votes, *fines, *rewards):
        output.emit(item)
    title = f"task {history.task_id}, round {shown.number}: {_outcome(record)}"
    output.say(f"{title}, {shown.enrolled} enrolled, quorum {shown.quorum or '–'}")
    _table(output, "phases", ("phase", "block", "time", "what"), phases)
    _table(output, f"updates{source}", ("index", "worker", "samples", "bytes", "accepted", "reason", "score"), updates)
    _table(output, "claims", ("seat", "member", "number", "output_prefix"), seats)
    columns = ("attempt", "proposer", "outcome", "accepted", "approvals", "rejections", "matching", "model_cid")
    _table(output, "proposals", columns, proposals)
    _table(output, "votes", ("attempt", "member", "approved", "reason"), votes)
    _table(output, "fines", ("attempt", "member", "fault", "amount_wei"), fines)
    _table(output, "rewards", ("worker", "amount_wei", "block"), rewards)


def worker(
    network: OpenNetwork,
    output: Output,
    worker: Annotated[str, typer.Argument(metavar="WORKER", help="An address, key file or folder, or dev:N.")],
    task: TaskChoice = None,
) -> None:
    """Show a worker: its bond and enrolment, and what it did and got in each round.

    Example: flare show worker dev:1 --run net
    """
    from flare_offchain.blockchain.embedded import EthTesterConnector
    from flare_offchain.cli.accounts import named_address
    from flare_offchain.cli.views import worker_records

    seed = network.chain.genesis.seed if isinstance(network.chain, EthTesterConnector) else None
    address = named_address(worker, seed)
    history = read_task(network, task)
    registered = network.registry.participant(address)
    enrolment = network.coordinator.enrolment(history.task_id, address)
    record: dict[str, Any] = {
        "event": "worker",
        "worker": address,
        "registered": bool(registered.vrf_key),
        "number": registered.number or None,
        "vrf_key": f"{registered.vrf_key:#066x}" if registered.vrf_key else None,
        "bond_wei": str(registered.bond),
        "withdrawable_at": registered.withdrawable_at,
        "task": history.task_id,
        "enrolled": enrolment.enrolled,
        "from_round": enrolment.from_round,
        "strikes": enrolment.strikes,
        "credit_wei": str(enrolment.credit),
    }
    rounds = list(worker_records(history, address))
    for item in (record, *rounds):
        output.emit(item)
    record.pop("event")
    record["withdrawable_at"] = moment(registered.withdrawable_at) if registered.withdrawable_at else None
    record["bond"], record["credit"] = (ether_text(int(record.pop(f"{name}_wei"))) for name in ("bond", "credit"))
    output.table("", ("", ""), [(name.replace("_", " "), value) for name, value in record.items()])
    columns = ("round", "update", "accepted", "seat", "proposed", "votes", "fines", "fined_wei", "reward_wei")
    _table(output, "rounds", columns, rounds)


def update(
    network: OpenNetwork,
    output: Output,
    task: TaskChoice = None,
    number: RoundChoice = None,
    index: Annotated[int | None, typer.Option(min=0, help="The update's index in the round.")] = None,
    worker: Annotated[str | None, typer.Option(metavar="WORKER", help="Or whose update it is.")] = None,
) -> None:
    """Show an update and explain why it was accepted or rejected, from the committee's report.

    Example: flare show update --round 2 --worker dev:3 --run net
    """
    from flare_offchain.cli.views import explanation, update_record

    history = read_task(network, task)
    shown = choose_round(history, number)
    chosen = _choose_update(network, shown, index, worker)
    report, source = _report(network, shown)
    record = update_record(history, shown, chosen, report)
    record["explanation"] = explanation(record) + source
    output.emit(record)
    record.pop("event")
    output.table("", ("", ""), list(record.items()))


def _choose_update(network: OpenNetwork, shown: RoundHistory, index: int | None, worker: str | None) -> Any:
    from flare_offchain.blockchain.embedded import EthTesterConnector
    from flare_offchain.cli.accounts import named_address

    if (index is None) == (worker is None):
        raise typer.BadParameter("name one update: --index N or --worker WORKER")
    if index is not None:
        if index >= len(shown.updates):
            raise typer.BadParameter(f"round {shown.number} has {len(shown.updates)} updates: there is no {index}")
        return shown.updates[index]
    seed = network.chain.genesis.seed if isinstance(network.chain, EthTesterConnector) else None
    address = named_address(worker or "", seed)
    found = next((u for u in shown.updates if u.worker == address), None)
    if found is None:
        raise typer.BadParameter(f"{address} submitted no update in round {shown.number}")
    return found


def _report(network: OpenNetwork, shown: RoundHistory) -> tuple[Report | None, str]:
    """Return the report that speaks for the round, and what to say of it: the final one, else the newest proposed."""
    from flare_offchain.core.errors import IntegrityError, MalformedObject, ObjectNotFound
    from flare_offchain.federation.report import MAX_REPORT_BYTES, Report

    proposal: ProposalRecord | None = shown.final_proposal
    if proposal is None and shown.proposals:
        proposal = shown.proposals[max(shown.proposals)]
    if proposal is None:
        return None, ""
    if not network.has_store:
        return None, " (scores are in the report: name the store with --store or --ipfs)"
    try:
        report = Report.decode(network.store.get(proposal.report, max_bytes=MAX_REPORT_BYTES))
    except (ObjectNotFound, IntegrityError, MalformedObject) as error:
        return None, f" (the report cannot be had: {error})"
    final = proposal is shown.final_proposal
    return report, "" if final else f" (by the report of attempt {proposal.attempt}, which was not finalized)"


def _phases(network: OpenNetwork, shown: RoundHistory) -> list[dict[str, Any]]:
    steps: list[tuple[str, int | None, str]] = [("TRAINING", shown.opened_block, f"{shown.enrolled} workers enrolled")]
    if shown.seed is not None:
        steps.append(("SORTITION", shown.seed.block, f"the seed comes from block {shown.seed.seed_block}"))
    if shown.widened_block is not None:
        steps.append(("SORTITION", shown.widened_block, "too few seats: the threshold is widened"))
    for attempt, proposal in sorted(shown.proposals.items()):
        steps.append(("VALIDATION", proposal.block, f"attempt {attempt} proposes"))
    for attempt, closing in sorted(shown.closings.items()):
        text = f"attempt {attempt}: {closing.approvals} approve, {closing.rejections} reject"
        steps.append(("REVEAL", closing.block, text))
    if shown.ended_block is not None:
        reason = shown.void_reason.name if shown.final_model is None else f"attempt {shown.final_attempt}"
        steps.append((shown.phase.name.upper(), shown.ended_block, reason))
    steps.sort(key=lambda step: step[1] or 0)
    return [
        {
            "event": "phase",
            "round": shown.number,
            "phase": phase,
            "block": block,
            "time": moment(network.chain.stamp(block).timestamp) if block is not None else None,
            "what": what,
        }
        for phase, block, what in steps
    ]


def _outcome(record: dict[str, Any]) -> str:
    return f"{record['phase']} ({record['reason']})" if record["reason"] else str(record["phase"])


def _table(output: Output, title: str, columns: tuple[str, ...], records: list[dict[str, Any]]) -> None:
    names = [column.removesuffix("_wei").replace("_cid", " CID").replace("_", " ") for column in columns]
    rows = [[_cell(column, record[column]) for column in columns] for record in records]
    output.table(title, names, rows)


def _cell(column: str, value: Any) -> Any:
    if column.endswith("_wei"):
        return ether_text(int(value))
    return ", ".join(str(item) for item in value) or None if isinstance(value, list) else value


add_command(app, "task", task)
add_command(app, "round", round_, store=True)
add_command(app, "worker", worker)
add_command(app, "update", update, store=True)
