"""Plots of a run: accuracy, bytes and gas by round."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flare_offchain.simulation.results import RoundResult

INK, MUTED, ACCENT, ALARM = "#1b1f24", "#6a737d", "#2b6cb0", "#c53030"


def write_plots(rounds: Sequence[RoundResult], model_bytes: int, folder: Path) -> list[Path]:
    """Write accuracy.png, bytes.png and gas.png; return their paths."""
    import matplotlib

    matplotlib.use("Agg")
    folder.mkdir(parents=True, exist_ok=True)
    return [
        _accuracy(rounds, folder / "accuracy.png"),
        _bytes(rounds, model_bytes, folder / "bytes.png"),
        _gas(rounds, folder / "gas.png"),
    ]


def _accuracy(rounds: Sequence[RoundResult], path: Path) -> Path:
    figure, axes = _figure("Test accuracy by round", "accuracy (%)")
    numbers = [r.round for r in rounds]
    values = [100 * r.accuracy for r in rounds]
    axes.plot(numbers, values, color=ACCENT, linewidth=2, marker="o", markersize=5)
    void = [r for r in rounds if r.outcome != "FINALIZED"]
    if void:
        axes.plot(
            [r.round for r in void], [100 * r.accuracy for r in void], "x", color=ALARM, markersize=9, label="VOID"
        )
        axes.legend(frameon=False)
    axes.annotate(
        f"{values[-1]:.1f} %",
        (numbers[-1], values[-1]),
        textcoords="offset points",
        xytext=(0, 9),
        ha="center",
        color=INK,
    )
    axes.margins(y=0.18)
    return _save(figure, path)


def _bytes(rounds: Sequence[RoundResult], model_bytes: int, path: Path) -> Path:
    figure, axes = _figure("Size of one update", "bytes (logarithmic)")
    numbers = [r.round for r in rounds if r.bytes_per_update]
    values = [r.bytes_per_update for r in rounds if r.bytes_per_update]
    axes.axhline(model_bytes, color=MUTED, linestyle="--", linewidth=1.2)
    axes.annotate(
        f"float32: {model_bytes:,} bytes",
        (0.01, model_bytes),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        xytext=(0, 5),
        color=MUTED,
    )
    if values:
        axes.plot(numbers, values, color=ACCENT, linewidth=2, marker="o", markersize=5)
        axes.annotate(
            f"{values[-1]:,.0f} bytes, {model_bytes / values[-1]:.0f}× smaller",
            (numbers[-1], values[-1]),
            textcoords="offset points",
            xytext=(0, 9),
            ha="right",
            color=INK,
        )
    axes.set_yscale("log")
    axes.margins(y=0.25)
    return _save(figure, path)


def _gas(rounds: Sequence[RoundResult], path: Path) -> Path:
    figure, axes = _figure("Gas for one worker and round", "gas (thousands)")
    axes.bar([r.round for r in rounds], [r.gas_per_worker / 1000 for r in rounds], color=ACCENT, width=0.6)
    axes.margins(y=0.12)
    return _save(figure, path)


def _figure(title: str, label: str):  # type: ignore[no-untyped-def]
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(7.2, 4.0), dpi=140, layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", color=INK, fontsize=13, fontweight="bold")
    axes.set_xlabel("round", color=MUTED)
    axes.set_ylabel(label, color=MUTED)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="y", color="#e1e4e8", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=MUTED)
    return figure, axes


def _save(figure, path: Path) -> Path:  # type: ignore[no-untyped-def]
    figure.savefig(path, metadata={"Software": None})
    return path
