"""Networks whose workers reach chain and store through faulty wires."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flare_offchain.devnet.chain_daemon import ChainKind
from flare_offchain.devnet.drills import DrillNetwork, drill_network
from flare_offchain.devnet.network import Devnet
from flare_offchain.devnet.proxy import Proxy


@contextmanager
def wired(folder: Path, chain: ChainKind) -> Iterator[tuple[DrillNetwork, Proxy, Proxy]]:
    """A network whose workers reach chain and store through a wire each."""
    wires: list[Proxy] = []

    def prepare(network: Devnet) -> None:
        wires.append(Proxy(lambda: network.chain_daemon.url))
        wires.append(Proxy(lambda: _url(network.kubo.endpoint)))
        places = [wire.start() for wire in wires]
        network.rpc_for = lambda worker: places[0]
        network.ipfs_for = lambda worker: places[1]

    try:
        with drill_network(folder, chain=chain, prepare=prepare) as drill:
            yield drill, wires[0], wires[1]
    finally:
        for wire in wires:
            wire.stop()


def _url(multiaddr: str) -> str:
    """Return the URL of an address such as /ip4/127.0.0.1/tcp/5001."""
    _, _, host, _, port = multiaddr.split("/")
    return f"http://{host}:{port}"
