"""From an architecture's name to an adapter."""

from __future__ import annotations

from flare_offchain.core.errors import ConfigurationError
from flare_offchain.models.adapter import ModelAdapter
from flare_offchain.models.architectures import Parameters, architecture_of
from flare_offchain.models.mock import MockModelAdapter
from flare_offchain.models.own import is_offered, own_adapter


def build_adapter(architecture: str, parameters: Parameters, seed: int = 0, device: str = "auto") -> ModelAdapter:
    """Return an adapter of a registered architecture, with the first weights that the seed gives.

    softmax runs in numpy; the others need torch.

    Args:
        architecture: a name in `ARCHITECTURES`, or of a module of one's own (`own.py`).
        parameters: its numbers.
        seed: 0 or more.
        device: auto, cpu or cuda, for torch.

    Raises:
        ConfigurationError: unknown architecture, parameters or device, or torch is not installed.
    """
    if is_offered(architecture):
        return own_adapter(architecture, parameters, seed, device)
    described = architecture_of(architecture, parameters)
    if architecture == "softmax":
        return MockModelAdapter(described.integer("inputs"), described.integer("classes"), seed)
    try:
        from flare_offchain.models.pytorch import build_torch_adapter
    except ImportError as error:
        raise ConfigurationError(
            f"training a {architecture} needs torch: pip install 'flare-offchain[train]'"
        ) from error
    return build_torch_adapter(described, seed, device)
