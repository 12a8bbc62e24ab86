"""A worker's own training: a `FederatedClient`, in the form that the trainer's role runs."""

from __future__ import annotations

from flare_offchain.compression.codecs import codec_from_spec
from flare_offchain.core.tensors import ModelSchema, Weights
from flare_offchain.federation.adversary import Behaviour
from flare_offchain.federation.client import FederatedClient, MaliciousClient
from flare_offchain.federation.probe import Probe
from flare_offchain.federation.spec import TaskSpec
from flare_offchain.models.adapter import ModelAdapter, TrainingOptions
from flare_offchain.utils.datasets import Dataset


def client_for(spec: TaskSpec, data: Dataset, adapter: ModelAdapter, seed: int) -> FederatedClient:
    """Return the client that trains as a task's spec says.

    `seed` decides the order of its samples: 0 or more, another one for each worker.
    """
    return FederatedClient(
        str(seed),
        adapter,
        data,
        codec_from_spec(spec.codec.name, spec.codec.parameters),
        epochs=spec.training.epochs,
        learning_rate=spec.training.learning_rate,
        options=_options(spec, seed),
    )


def malicious_client_for(
    spec: TaskSpec, data: Dataset, adapter: ModelAdapter, seed: int, behaviour: Behaviour, probe: Probe | None = None
) -> MaliciousClient:
    """Return a client that attacks, otherwise as `client_for`; `seed` decides its randomness too.

    `probe` is what it knows of the rounds' probes.
    """
    return MaliciousClient(
        str(seed),
        adapter,
        data,
        codec_from_spec(spec.codec.name, spec.codec.parameters),
        behaviour=behaviour,
        probe=probe,
        epochs=spec.training.epochs,
        learning_rate=spec.training.learning_rate,
        options=_options(spec, seed),
    )


def _options(spec: TaskSpec, seed: int) -> TrainingOptions:
    training = spec.training
    return TrainingOptions(
        batch_size=training.batch_size,
        momentum=training.momentum,
        weight_decay=training.weight_decay,
        proximal=training.proximal,
        seed=seed,
    )


class ClientTrainer:
    """Trains and encodes through a client; its codec's memory is what must survive a restart."""

    def __init__(self, client: FederatedClient, schema: ModelSchema) -> None:
        self.client, self.schema = client, schema

    @property
    def sample_count(self) -> int:
        """Number of training samples."""
        return len(self.client.data)

    def make_update(self, base: Weights, round_number: int, context: bytes) -> bytes:
        """Train and encode."""
        return self.client.update(base, round_number, context).data

    def acknowledge(self, accepted: bool) -> None:
        """Tell the client what became of the newest update."""
        self.client.acknowledge(accepted)

    def save_memory(self) -> bytes:
        """Return the codec's memory."""
        return self.client.codec.state_bytes()

    def load_memory(self, data: bytes) -> None:
        """Restore the codec's memory."""
        self.client.codec.load_state(data, self.schema)
