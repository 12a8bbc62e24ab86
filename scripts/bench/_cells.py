"""Trainings of the compression benchmark as cells: one compressor, case and seed each, side by side and resumable.

Finished cells are kept in a book (`_book`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from _book import Book
from _federated import Arrays, Case, Channel, CodecChannel, Float32Channel, Outcome, divide, load, train
from _peer_compressors import PEERS

from flare_offchain.compression import codec_from_spec
from flare_offchain.core.tensors import ModelSchema, Weights
from flare_offchain.utils.datasets import Dataset

FLOAT32, OURS = "float32", "ours"


@dataclass(frozen=True, slots=True)
class Cell:
    """One training. settings: of our codec, `powersgd` unless they name a `codec`; record: rounds whose ΔW is kept."""

    case: Case
    compressor: str
    seed: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    record: tuple[int, ...] = ()

    @property
    def key(self) -> str:
        """Everything the outcome depends on but the code."""
        return json.dumps([asdict(self.case), self.compressor, self.seed, dict(self.settings)], sort_keys=True)

    def channel(self, schema: ModelSchema, client: int) -> Channel:
        """Return a client's compressor."""
        if self.compressor == FLOAT32:
            return Float32Channel()
        if self.compressor in PEERS:
            return PEERS[self.compressor](schema, client)
        settings = dict(self.settings)
        return CodecChannel(codec_from_spec(str(settings.pop("codec", "powersgd")), settings), schema)


_loaded: dict[str, Dataset] = {}


def run_cell(cell: Cell, data_dir: Path | None) -> tuple[Outcome, list[Arrays]]:
    """Train a cell; return its outcome and the first client's updates of the rounds to record."""
    if cell.case.data not in _loaded:
        _loaded[cell.case.data] = load(cell.case, data_dir)
    shares, test = divide(cell.case, _loaded[cell.case.data], cell.seed)
    recorded: list[Arrays] = []

    def keep(number: int, client: int, delta: Weights) -> None:
        if client == 0 and number in cell.record:
            recorded.append(dict(delta))

    return train(cell.case, shares, test, cell.seed, cell.channel, keep if cell.record else None), recorded


def _outcome(**fields: Any) -> Outcome:
    return Outcome(**(fields | {"curve": tuple(fields["curve"])}))


class CellBook:
    """Finished cells, and beside their file an archive of each cell's recorded updates."""

    def __init__(self, path: Path | None) -> None:
        self._book = Book(path, _outcome)

    def find(self, cell: Cell) -> tuple[Outcome, list[Arrays]] | None:
        """Return what a cell gave, or None if it is still to run."""
        outcome = self._book.find(cell.key)
        recorded = self._recorded(cell)
        return None if outcome is None or recorded is None else (outcome, recorded)

    def add(self, cell: Cell, outcome: Outcome, recorded: list[Arrays]) -> None:
        """Keep a finished cell."""
        archive = self._archive(cell)
        if archive is not None and recorded:
            flat = {f"{number}/{name}": array for number, delta in enumerate(recorded) for name, array in delta.items()}
            archive.parent.mkdir(parents=True, exist_ok=True)
            np.savez(archive, **flat)
        self._book.add(cell.key, outcome)

    def _archive(self, cell: Cell) -> Path | None:
        path = self._book.path
        return None if path is None else path.with_suffix(f".{cell.case.name}.{cell.seed}.npz")

    def _recorded(self, cell: Cell) -> list[Arrays] | None:
        if not cell.record:
            return []
        path = self._archive(cell)
        if path is None or not path.is_file():
            return None
        with np.load(path, allow_pickle=False) as archive:
            deltas: list[Arrays] = [{} for _ in cell.record]
            for key in archive.files:
                number, _, name = key.partition("/")
                deltas[int(number)][name] = archive[key]
        return deltas


def run_cells(
    cells: list[Cell], data_dir: Path | None, book: CellBook, jobs: int
) -> Iterator[tuple[Cell, Outcome, list[Arrays], bool]]:
    """Yield every cell with its outcome, its recorded updates and whether it ran now, as they finish."""
    rest = []
    for cell in cells:
        found = book.find(cell)
        if found is None:
            rest.append(cell)
        else:
            yield cell, *found, False
    if not rest:
        return
    # A training uses one thread; whatever BLAS adds would only be in its neighbour's way.
    os.environ["OMP_NUM_THREADS"] = "1"
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        waiting: dict[Future[tuple[Outcome, list[Arrays]]], Cell] = {
            pool.submit(run_cell, cell, data_dir): cell for cell in rest
        }
        for future in as_completed(waiting):
            outcome, recorded = future.result()
            book.add(waiting[future], outcome, recorded)
            yield waiting[future], outcome, recorded, True
