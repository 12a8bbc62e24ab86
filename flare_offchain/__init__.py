"""Flare: federated learning coordinated by smart contracts."""

from flare_offchain.core.config import FlareConfig
from flare_offchain.core.context import RoundContext
from flare_offchain.core.node import FlareNode

__all__ = ["FlareConfig", "FlareNode", "RoundContext"]
