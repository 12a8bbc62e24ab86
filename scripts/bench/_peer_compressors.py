"""What our codec is compared with: published compressors restated, each with the bytes that it would really send.

None knows a header or a context; where a peer leaves something out (an index width, a scale), the smaller reading is
taken, so the comparison errs in the peer's favour. Every peer with error feedback keeps its whole loss and is never
refused an update.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import zstandard
from _federated import Arrays

from flare_offchain.core.tensors import ModelSchema, Weights

_ZSTD_LEVEL = 9


class PeerChannel(ABC):
    """A client's compressor, with error feedback if it has `feedback`."""

    feedback = True

    def __init__(self, schema: ModelSchema, client: int) -> None:
        self.generator = np.random.Generator(np.random.PCG64([client, 99]))
        self.residual: Arrays = {tensor.name: np.zeros(tensor.shape, np.float32) for tensor in schema.tensors}

    def send(self, delta: Weights, number: int) -> tuple[Arrays, int]:
        """Return what arrives of the update, and its bytes."""
        target = {name: array + self.residual[name] if self.feedback else array for name, array in delta.items()}
        arrived, size = self.code(target)
        if self.feedback:
            self.residual = {name: (array - arrived[name]).astype(np.float32) for name, array in target.items()}
        return arrived, size

    @abstractmethod
    def code(self, target: Arrays) -> tuple[Arrays, int]:
        """Return what arrives of `target`, and its bytes."""


class SeedPowerSGD(PeerChannel):
    """PowerSGD of rank 4 in float32 with a fresh start each round and no memory; vectors travel as they are."""

    feedback = False
    rank = 4

    def code(self, target: Arrays) -> tuple[Arrays, int]:
        """One pass P = orth(M Q), Q = MᵀP."""
        arrived, size = {}, 0
        for name, array in target.items():
            matrix = _matrix(array)
            rank = min(self.rank, *matrix.shape)
            if rank * sum(matrix.shape) >= matrix.size:
                arrived[name], size = array, size + 4 * array.size
                continue
            start = self.generator.standard_normal((matrix.shape[1], rank)).astype(np.float32)
            left, right = _power_step(matrix, start)
            arrived[name] = (left @ right.T).reshape(array.shape)
            size += 4 * (left.size + right.size)
        return arrived, size


class TorchPowerSGD(PeerChannel):
    """torch's PowerSGD hook (torch.distributed.algorithms.ddp_comm_hooks.powerSGD_hook): feedback, warm start.

    Each worker's P and Q are its own here, where the hook sums them over workers; compression from the first round.
    """

    rank = 4
    rate = 2.0

    def __init__(self, schema: ModelSchema, client: int) -> None:
        super().__init__(schema, client)
        self.warm: Arrays = {}

    def code(self, target: Arrays) -> tuple[Arrays, int]:
        """Compress where (m + n) * rank * rate < m * n; the rest in float32."""
        arrived, size = {}, 0
        for name, array in target.items():
            matrix = _matrix(array)
            rank = min(self.rank, *matrix.shape)
            if sum(matrix.shape) * rank * self.rate >= matrix.size:
                arrived[name], size = array, size + 4 * array.size
                continue
            start = self.warm.get(name)
            if start is None:
                start = self.generator.standard_normal((matrix.shape[1], rank)).astype(np.float32)
            left, self.warm[name] = _power_step(matrix, np.linalg.qr(start)[0])
            arrived[name] = (left @ self.warm[name].T).reshape(array.shape)
            size += 4 * (left.size + self.warm[name].size)
        return arrived, size


class TorchPowerSGDRank1(TorchPowerSGD):
    """The hook at its default rank."""

    rank = 1


class Int4Zstd(PeerChannel):
    """Stochastic rounding of every tensor to -7..7 of its largest element, two a byte, then zstd."""

    feedback = False

    def code(self, target: Arrays) -> tuple[Arrays, int]:
        """Unbiased; one float32 scale a tensor."""
        arrived, nibbles = {}, []
        for name, array in target.items():
            scale = float(np.abs(array).max(initial=0.0)) / 7 or 1.0
            integers = np.clip(np.floor(array / scale + self.generator.random(array.shape)), -7, 7)
            arrived[name] = integers * scale
            nibbles.append((integers.reshape(-1) + 8).astype(np.uint8))
        values = np.concatenate(nibbles)
        padded = np.append(values, np.zeros(values.size % 2, np.uint8)).reshape(-1, 2)
        packed = (padded[:, 0] << 4 | padded[:, 1]).astype(np.uint8)
        return arrived, len(zstandard.compress(packed.tobytes(), _ZSTD_LEVEL)) + 4 * len(target)


class SignFeedback(PeerChannel):
    """One bit an element times the tensor's mean magnitude (Karimireddy et al. 2019, arXiv:1901.09847)."""

    def code(self, target: Arrays) -> tuple[Arrays, int]:
        """One float32 scale a tensor."""
        arrived = {name: np.where(array < 0, -1.0, 1.0) * float(np.abs(array).mean()) for name, array in target.items()}
        return arrived, sum((array.size + 7) // 8 + 4 for array in target.values())


class TopKHalf(PeerChannel):
    """The largest 1 % of each tensor in float16, gaps between positions deflated: DGC without its momentum correction.

    Lin et al. 2018, arXiv:1712.01887.
    """

    density = 0.01

    def code(self, target: Arrays) -> tuple[Arrays, int]:
        """Values, then gaps as LEB128 through zstd where that is smaller."""
        arrived, size = {}, 0
        for name, array in target.items():
            kept = _largest(array, self.density)
            values = array.reshape(-1)[kept].astype(np.float16)
            arrived[name] = _scatter(array, kept, values.astype(np.float64))
            gaps = np.diff(kept, prepend=-1) - 1
            octets = b"".join(_leb128(int(gap)) for gap in gaps)
            size += values.nbytes + min(len(octets), len(zstandard.compress(octets, _ZSTD_LEVEL)))
        return arrived, size


class SparseTernary(PeerChannel):
    """Sparse ternary compression: 1 %, one magnitude, Golomb positions (Sattler et al. 2019, arXiv:1903.02891)."""

    density = 0.01

    def code(self, target: Arrays) -> tuple[Arrays, int]:
        """Positions by the Golomb-Rice code of the paper's equation for this density, one sign bit each."""
        arrived, bits = {}, 0
        golden = (np.sqrt(5) + 1) / 2
        low = 1 + int(np.floor(np.log2(np.log(golden - 1) / np.log(1 - self.density))))
        for name, array in target.items():
            kept = _largest(array, self.density)
            values = array.reshape(-1)[kept]
            magnitude = float(np.abs(values).mean()) if kept.size else 0.0
            arrived[name] = _scatter(array, kept, np.sign(values) * magnitude)
            gaps = np.diff(kept, prepend=-1) - 1
            bits += int(((gaps >> low) + 1 + low + 1).sum()) + 32
        return arrived, (bits + 7) // 8


PEERS: dict[str, type[PeerChannel]] = {
    "seed: PowerSGD rank 4 float32, no feedback": SeedPowerSGD,
    "torch PowerSGD hook, rank 4": TorchPowerSGD,
    "torch PowerSGD hook, rank 1": TorchPowerSGDRank1,
    "int4 + zstd": Int4Zstd,
    "sign + feedback": SignFeedback,
    "top-k 1 % (DGC-like)": TopKHalf,
    "STC 1 %": SparseTernary,
}


def _matrix(array: np.ndarray) -> np.ndarray:
    return array.reshape(array.shape[0], -1) if array.ndim >= 2 else array.reshape(1, -1)


def _power_step(matrix: np.ndarray, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    left = np.linalg.qr(matrix @ start)[0]
    return left, matrix.T @ left


def _largest(array: np.ndarray, density: float) -> np.ndarray:
    flat = np.abs(array.reshape(-1))
    count = max(1, round(density * flat.size))
    return np.sort(np.argpartition(-flat, count - 1)[:count]) if flat.size else np.zeros(0, np.int64)


def _scatter(array: np.ndarray, kept: np.ndarray, values: np.ndarray) -> np.ndarray:
    result = np.zeros(array.size)
    result[kept] = values
    return result.reshape(array.shape)


def _leb128(value: int) -> bytes:
    result = bytearray()
    while value > 0x7F:
        result.append(value & 0x7F | 0x80)
        value >>= 7
    result.append(value)
    return bytes(result)
