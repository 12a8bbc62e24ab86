"""Models behind one interface. `PyTorchModelAdapter` lives in `models.pytorch`, which alone imports torch."""

from flare_offchain.models.adapter import Evaluation, ModelAdapter, TrainingOptions, TrainingResult
from flare_offchain.models.architectures import ARCHITECTURES, architecture_of, initial_weights
from flare_offchain.models.builder import build_adapter
from flare_offchain.models.forward import forward_function, forward_many_function, forward_numpy
from flare_offchain.models.mock import MockModelAdapter
from flare_offchain.models.own import is_offered, offer_module, offer_modules

__all__ = [
    "ARCHITECTURES",
    "Evaluation",
    "MockModelAdapter",
    "ModelAdapter",
    "TrainingOptions",
    "TrainingResult",
    "architecture_of",
    "build_adapter",
    "forward_function",
    "forward_many_function",
    "forward_numpy",
    "initial_weights",
    "is_offered",
    "offer_module",
    "offer_modules",
]
