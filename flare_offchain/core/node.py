"""The base of everything that runs: a worker, a gateway, a simulated client."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from flare_offchain.core.config import FlareConfig


class FlareNode(ABC):
    """Something with a name and settings that can be started and stopped; as a context manager it does both.

    Args:
        node_id: its name, unique among the nodes it meets (a worker's is its address).
        config: its settings; a copy is kept.
    """

    def __init__(self, node_id: str, config: FlareConfig | None = None) -> None:
        if not node_id:
            raise ValueError("a node needs a name")
        self._node_id = node_id
        self._config = FlareConfig() if config is None else config.copy()

    @property
    def node_id(self) -> str:
        """Its name."""
        return self._node_id

    @property
    def config(self) -> FlareConfig:
        """Its own settings."""
        return self._config

    @abstractmethod
    def start(self) -> None:
        """Begin to work."""

    @abstractmethod
    def stop(self) -> None:
        """Finish what is under way, release what is held, and return; safe to call twice."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
