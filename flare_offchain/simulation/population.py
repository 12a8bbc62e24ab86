"""The workers of a simulated network: honest ones, and attackers that collude.

Attackers are the last workers of the network, so that they have seen what the honest ones committed to.
"""

from __future__ import annotations

from collections.abc import Sequence

from flare_offchain.federation.adversary import behaviour
from flare_offchain.federation.round import ProbePool
from flare_offchain.models.adapter import ModelAdapter
from flare_offchain.models.builder import build_adapter
from flare_offchain.simulation.conspiracy import Conspiracy, ConspiringTrainer
from flare_offchain.simulation.data import ABSENT, PreparedData
from flare_offchain.simulation.malicious_members import Ring, malicious_member
from flare_offchain.simulation.network import Network
from flare_offchain.workers.committee import CommitteeRole
from flare_offchain.workers.trainer import TrainerRole
from flare_offchain.workers.training import ClientTrainer, client_for, malicious_client_for
from flare_offchain.workers.worker import Worker

MAX_WORKERS = 8192
"""Separates the seeds of runs: above the number of workers that a scenario may have."""


def build_workers(network: Network, data: PreparedData) -> list[Worker]:
    """Return all workers: first the honest, then the attackers (the last `attackers` of the network)."""
    scenario = network.scenario
    surroundings = [network.surroundings(i) for i in range(scenario.workers)]
    adapter = build_adapter(network.spec.model.name, network.spec.model.parameters, device=scenario.device)
    first_attacker = scenario.workers - scenario.attackers
    workers = []
    for index, s in enumerate(surroundings[:first_attacker]):
        client = client_for(network.spec, data.parts[index], adapter, _seed(network, index))
        workers.append(Worker(s, TrainerRole(ClientTrainer(client, network.schema)), CommitteeRole()))
    ring = Ring(frozenset(s.address for s in surroundings[first_attacker:]))
    trainers = _attacking_trainers(network, data, adapter)
    for s, trainer in zip(surroundings[first_attacker:], trainers, strict=True):
        workers.append(Worker(s, trainer, malicious_member(scenario.committee_attack, ring)))
    return workers


def _attacking_trainers(network: Network, data: PreparedData, adapter: ModelAdapter) -> list[TrainerRole | None]:
    scenario = network.scenario
    first = scenario.workers - scenario.attackers
    if scenario.attack == ABSENT:
        return [None] * scenario.attackers
    conspiracy = Conspiracy(
        behaviour(scenario.attack),
        [network.surroundings(i) for i in range(first)],
        [len(part) for part in data.parts[:first]],
        network,
        ProbePool(data.pool.features, data.pool.labels),
    )
    return [
        TrainerRole(
            ConspiringTrainer(
                malicious_client_for(
                    network.spec,
                    data.parts[index],
                    adapter,
                    _seed(network, index),
                    conspiracy.behaviour,
                    conspiracy.probe,
                ),
                conspiracy,
            )
        )
        for index in range(first, scenario.workers)
    ]


def _seed(network: Network, worker: int) -> int:
    return network.scenario.seed * MAX_WORKERS + worker


def attackers_of(workers: Sequence[Worker], count: int) -> frozenset[str]:
    """Return the addresses of the attackers: the last `count` workers."""
    return frozenset(worker.address for worker in workers[len(workers) - count :])
