"""A worker's own training: from the base model and its data to the encoded update."""

from __future__ import annotations

from flare_offchain.compression.codec import UpdateCodec
from flare_offchain.compression.codecs import codec_from_spec
from flare_offchain.core.tensors import ModelSchema, Weights, subtract
from flare_offchain.federation.spec import TaskSpec
from flare_offchain.models.adapter import ModelAdapter, TrainingOptions
from flare_offchain.utils.datasets import Dataset

ROUND_STRIDE = 1_000_003
"""Separates the seeds of workers and rounds: a prime above any number of rounds that a run has."""


class HonestTrainer:
    """Trains on its own data and encodes with error feedback."""

    def __init__(self, spec: TaskSpec, data: Dataset, schema: ModelSchema, adapter: ModelAdapter, seed: int) -> None:
        self.spec, self.data, self.schema, self.adapter, self.seed = spec, data, schema, adapter, seed
        self.codec: UpdateCodec = codec_from_spec(spec.codec.name, spec.codec.parameters)

    @property
    def sample_count(self) -> int:
        """Number of training samples."""
        return len(self.data)

    def delta(self, base: Weights, round_number: int) -> Weights:
        """Train from the base model and return ΔW; a pure function of the two, the data and the seed."""
        training = self.spec.training
        self.adapter.set_weights(base)
        options = TrainingOptions(
            batch_size=training.batch_size,
            momentum=training.momentum,
            weight_decay=training.weight_decay,
            proximal=training.proximal,
            seed=self.seed * ROUND_STRIDE + round_number,
        )
        self.adapter.train(self.data, training.epochs, training.learning_rate, options)
        return subtract(self.adapter.get_weights(), base)

    def make_update(self, base: Weights, round_number: int, context: bytes) -> bytes:
        """Train and encode."""
        return self.codec.encode(self.delta(base, round_number), self.schema, context).data

    def acknowledge(self, accepted: bool) -> None:
        """Tell the error feedback what became of the newest update."""
        self.codec.acknowledge(accepted)

    def save_memory(self) -> bytes:
        """Return the codec's memory."""
        return self.codec.state_bytes()

    def load_memory(self, data: bytes) -> None:
        """Restore the codec's memory."""
        self.codec.load_state(data, self.schema)
