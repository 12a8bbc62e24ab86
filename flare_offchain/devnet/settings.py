"""What a local network is made of, and where everything lies in its folder."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from flare_offchain.core.errors import ConfigurationError
from flare_offchain.devnet.chain_daemon import CHAINS, ChainKind
from flare_offchain.simulation.scenario import Rules, Scenario

MAX_WORKERS = 64
"""Each worker is a process; more of them belong into a simulation."""

LOCAL_PACE = {"poll": 0.5, "max_delay": 5.0, "turn_seconds": 20.0, "quiet_limit": 20.0}
"""How workers wait where blocks come every second (`flare_offchain.workers.daemon.Pace`)."""


def local_rules(workers: int) -> Rules:
    """Return rules for workers on one machine: phases end early, and a worker that is gone holds a round up briefly."""
    return Rules(
        training_duration=30 + 4 * workers,
        seed_duration=60,
        sortition_duration=6 + workers,
        proposal_duration=20 + workers,
        validation_duration=20 + 2 * workers,
        reveal_duration=20 + workers,
    )


@dataclass(frozen=True, slots=True)
class DevnetSettings:
    """A local network: `workers` processes on a chain and a store of their own."""

    folder: Path
    scenario: Scenario
    chain: ChainKind = "anvil"
    block_time: int = 1
    log_level: str = "INFO"
    pace: dict[str, float] = field(
        default_factory=lambda: {"poll": 0.5, "max_delay": 5.0, "turn_seconds": 20.0, "quiet_limit": 20.0}
    )

    def __post_init__(self) -> None:
        if self.chain not in CHAINS:
            raise ConfigurationError(f"the chain is {' or '.join(sorted(CHAINS))}, not {self.chain!r}")
        if self.scenario.workers > MAX_WORKERS:
            raise ConfigurationError(f"a local network has up to {MAX_WORKERS} workers: simulate more of them")
        if self.scenario.attackers:
            raise ConfigurationError("the workers of a local network are honest: attacks are simulated (`flare demo`)")
        if not 1 <= self.block_time <= 60:
            raise ConfigurationError("blocks come every 1 to 60 seconds: set --block-time")

    @classmethod
    def of(cls, folder: Path, *, chain: ChainKind = "anvil", block_time: int = 1, **scenario: Any) -> DevnetSettings:
        """Return settings with rules that suit the number of workers, unless rules are given."""
        made = Scenario(**{"attackers": 0, **scenario})
        if "rules" not in scenario:
            made = replace(made, rules=local_rules(made.workers))
        return cls(folder.absolute(), made, chain, block_time)

    @property
    def deployments(self) -> Path:
        """The deployment records."""
        return self.folder / "deployments"

    @property
    def state_file(self) -> Path:
        """What runs, for `flare devnet down`."""
        return self.folder / "devnet.json"

    @property
    def password_file(self) -> Path:
        """The password of all keys of this network."""
        return self.folder / "password"

    def worker_folder(self, worker: int) -> Path:
        """The folder of worker `worker`, counted from 0."""
        return self.folder / "workers" / str(worker)
