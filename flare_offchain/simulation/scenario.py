"""A scenario: everything that decides how a simulated network runs.

The same scenario gives the same models to the bit. It can be written to and read from a mapping, so that a kept run
can be continued and repeated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from flare_offchain.core.errors import ConfigurationError

ETHER = 10**18
NO_SERVER = "none"
"""The server optimiser that takes the average step as it is."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of the simulated task that a person may want to set. Durations in seconds, amounts in wei."""

    training_duration: int = 600
    seed_duration: int = 120
    sortition_duration: int = 300
    proposal_duration: int = 300
    validation_duration: int = 300
    reveal_duration: int = 120
    expected_committee: int = 5
    max_seats: int = 32
    threshold_basis_points: int = 6000
    max_attempts: int = 3
    sample_cap: int = 512
    idle_rounds: int = 8
    strike_limit: int = 0
    max_consecutive_voids: int = 8
    round_reward: int = ETHER // 100
    fine_amount: int = ETHER // 20
    minimum_bond: int = ETHER


@dataclass(frozen=True, slots=True)
class Scenario:
    """A simulated federated-learning network.

    `attackers` of the `workers` attack with `attack` (`absent`: they send no update), and on the committee with
    `committee_attack` (`malicious_members.py`). `proximal` is FedProx's μ,
    `server` the server optimiser (`server_optimiser.py`).
    """

    workers: int = 10
    rounds: int = 5
    attackers: int = 3
    attack: str = "sign_flip"
    committee_attack: str = "honest"
    data: str = "digits"
    data_dir: str | None = None
    partition: str = "dirichlet:0.5"
    aggregation: str = "mutual_information"
    aggregation_parameters: Mapping[str, Any] = field(default_factory=dict)
    server: str = NO_SERVER
    server_parameters: Mapping[str, Any] = field(default_factory=dict)
    codec: str = "powersgd"
    codec_parameters: Mapping[str, Any] = field(default_factory=lambda: {"rank": 8})
    model: str = "mlp"
    model_parameters: Mapping[str, Any] = field(default_factory=dict)
    epochs: int = 10
    learning_rate: float = 0.1
    batch_size: int = 8
    momentum: float = 0.9
    proximal: float = 0.0
    probe_count: int = 100
    probe_pool: int = 200
    test_count: int = 400
    censorship_share: float = 0.2
    seed: int = 0
    device: str = "cpu"
    rules: Rules = field(default_factory=Rules)

    def __post_init__(self) -> None:
        if not 2 <= self.workers <= 4096:
            raise ConfigurationError("a network has 2 to 4096 workers: set --workers")
        if not 1 <= self.rounds <= 100_000:
            raise ConfigurationError("a run has at least one round: set --rounds")
        if not 0 <= self.attackers <= self.workers:
            raise ConfigurationError(f"attackers are 0 to {self.workers} (the number of workers): set --attackers")
        if not 0 <= self.seed < 2**63:
            raise ConfigurationError("a seed is 0 to 2**63 - 1: set --seed")

    def to_record(self) -> dict[str, Any]:
        """Return the scenario as plain values."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Scenario:
        """Read a scenario from plain values (a TOML file, a kept run).

        Raises:
            ConfigurationError: an unknown name, or a value of the wrong type or out of range.
        """
        values = dict(record)
        rules = values.pop("rules", {})
        if not isinstance(rules, Mapping):
            raise ConfigurationError("[rules] is a table of numbers")
        return cls(**_checked(cls, values), rules=Rules(**_checked(Rules, rules)))


_ACCEPTED: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "str": (str,),
    "str | None": (str, type(None)),
}


def _checked(kind: type, values: Mapping[str, Any]) -> dict[str, Any]:
    known = {f.name: f for f in fields(kind)}
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ConfigurationError(f"unknown setting {unknown[0]!r}; known are {', '.join(sorted(known))}")
    for name, value in values.items():
        expected = str(known[name].type)
        wanted = _ACCEPTED.get(expected, (Mapping,))
        if not isinstance(value, wanted) or (isinstance(value, bool) and expected != "bool"):
            raise ConfigurationError(f"setting {name!r} must be {expected}, not {value!r}")
    return dict(values)
