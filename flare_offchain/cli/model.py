"""`flare model`: the models of a task."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from flare_offchain.cli.options import OpenNetwork, Output, TaskChoice, add_command
from flare_offchain.cli.reading import choose_round, read_task
from flare_offchain.core.errors import ConfigurationError, StorageUnavailable

app = typer.Typer(help="Get the models of a task.", no_args_is_help=True)


def get(
    network: OpenNetwork,
    output: Output,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where the model goes (safetensors).")],
    task: TaskChoice = None,
    number: Annotated[
        int | None,
        typer.Option(
            "--round", metavar="N", min=0, help="After this round; 0 is the genesis model. Newest by default."
        ),
    ] = None,
) -> None:
    """Fetch the model that stands after a round, check it against the CID on chain, and write it to a file.

    The file is in the safetensors format: safetensors.torch.load_file reads it.

    Example: flare model get --task 1 --round 3 --out model.safetensors --run net
    """
    from flare_offchain.storage.cid import cid_string
    from flare_offchain.utils.serialization import read_model

    history = read_task(network, task)
    after = number
    if after is None:
        after = max((n for n, r in history.rounds.items() if r.phase.terminal), default=0)
    elif after and not choose_round(history, after).phase.terminal:
        raise typer.BadParameter(f"round {after} is still in progress: it has no model yet")
    content_id = history.base_model(after + 1)
    final = after > 0 and history.rounds[after].final_model is not None
    data = network.store.get(content_id)
    parameters = sum(int(array.size) for array in read_model(data).values())
    write_file(out, data)
    cid = cid_string(content_id)
    source = f"round {after}" if final else ("genesis" if content_id == history.genesis else "an earlier round")
    output.result(
        f"{out}: {parameters:,} parameters, {len(data):,} bytes, the model after round {after} ({source}), {cid}",
        {
            "event": "model",
            "task": history.task_id,
            "round": after,
            "finalized": final,
            "cid": cid,
            "bytes": len(data),
            "parameters": parameters,
            "file": str(out),
        },
    )


def write_file(path: Path, data: bytes) -> None:
    """Write a new file, whole or not at all; a file with the same bytes may be there already.

    Raises:
        ConfigurationError: another file is there: it is never overwritten.
        StorageUnavailable: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.new")
    try:
        if path.exists():
            if path.stat().st_size == len(data) and path.read_bytes() == data:
                return
            raise ConfigurationError(f"{path} exists and is another file: move it away, or name another with --out")
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise StorageUnavailable(f"cannot write {path}: {error.strerror}") from error


add_command(app, "get", get, store=True)
