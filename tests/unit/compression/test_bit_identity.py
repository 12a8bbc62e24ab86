"""Decoding gives the same bits whatever computes it: numpy or torch, threads, memory layouts, BLAS builds."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_limits

import flare_offchain
from flare_offchain.compression import AdaptiveCodec, ErrorBoundedCodec, PowerSGDCompressor, decode_update
from flare_offchain.compression.codec import FRAME_BYTES
from flare_offchain.compression.layout import groups_of
from flare_offchain.compression.plan import UpdatePlan, scale_value
from flare_offchain.core.tensors import ModelSchema

pytestmark = pytest.mark.unit

CONTEXT = bytes(range(32))
OTHER_BLAS = Path.home() / ".cache" / "flare" / "other-blas" / "bin" / "python"
CODECS = {
    "powersgd": lambda: PowerSGDCompressor(bits=8),
    "ratio": lambda: PowerSGDCompressor(32, ratio=50.0, min_compression_rate=0.5),
    "adaptive": lambda: AdaptiveCodec(40.0),
    "bounded": lambda: ErrorBoundedCodec(1e-3),
}


def large_update(rows=600, columns=500, seed=3):
    """A low-rank matrix with noise, its bias, and a convolution: large enough that BLAS uses its threads."""
    generator = np.random.Generator(np.random.PCG64(seed))
    matrix = generator.standard_normal((rows, 20)) @ generator.standard_normal((20, columns))
    arrays = {
        "a.weight": 0.01 * matrix + 0.01 * generator.standard_normal((rows, columns)),
        "a.bias": 0.1 * generator.standard_normal(rows),
        "c.weight": 0.001 * generator.standard_normal((40, 30, 3, 3)),
        "v": generator.standard_normal(70),
    }
    return {name: array.astype(np.float32) for name, array in arrays.items()}


DELTA = large_update()
SCHEMA = ModelSchema.of(DELTA)


def digest_of(update):
    """Return the SHA-256 of a decoded update's integers and exponents."""
    seen = hashlib.sha256()
    for spec in update.schema.tensors:
        tensor = update.tensors[spec.name]
        seen.update(f"{spec.name} {tensor.exponent}".encode() + tensor.integers.astype("<i8").tobytes())
    return seen.hexdigest()


def decode_with_torch(data, schema):
    """Return an update's values by the format's formula in torch's float64, with none of the decoder's arithmetic."""
    result = {}
    plan = UpdatePlan.from_bytes(data[FRAME_BYTES:], schema)
    for group, own in zip(groups_of(schema), plan.groups, strict=True):
        matrix = torch.zeros(group.rows, group.columns, dtype=torch.float64)
        if own.terms:
            left = torch.stack([torch.from_numpy(term.left).double() for term in own.terms], 1)
            right = torch.stack([torch.from_numpy(term.right).double() for term in own.terms])
            scales = torch.tensor([scale_value(term.scale) for term in own.terms], dtype=torch.float64)
            matrix = (left * scales) @ right
        for name, values in group.split(matrix.numpy()).items():
            result[name] = torch.from_numpy(np.ascontiguousarray(values))
        for tensor, dense in zip(group.tensors, own.dense, strict=False):
            scale = scale_value(dense.scale) if dense.integers.any() else 0.0
            result[tensor.name] += (torch.from_numpy(dense.integers).double() * scale).reshape(tensor.shape)
    return {name: value.numpy() for name, value in result.items()}


@pytest.fixture(scope="module")
def encoded():
    return {name: make().encode(DELTA, SCHEMA, CONTEXT).data for name, make in CODECS.items()}


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("threads", [1, 2, 4])
def test_torch_decodes_to_the_same_bits(encoded, name, threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        theirs = decode_with_torch(encoded[name], SCHEMA)
    finally:
        torch.set_num_threads(before)
    ours = decode_update(encoded[name], SCHEMA, CONTEXT).tensors
    assert all(np.array_equal(ours[key].to_float(), theirs[key]) for key in ours)
    assert any(array.any() for array in theirs.values())


@pytest.mark.parametrize("name", CODECS)
def test_threads_show_neither_in_the_bytes_nor_in_what_they_decode_to(encoded, name):
    for threads in (1, 2, 4):
        with threadpool_limits(threads):
            assert CODECS[name]().encode(DELTA, SCHEMA, CONTEXT).data == encoded[name]
            assert digest_of(decode_update(encoded[name], SCHEMA, CONTEXT)) == expected(encoded[name])


def expected(data):
    """Return the digest of what this process decodes."""
    return digest_of(UpdatePlan.from_bytes(data[FRAME_BYTES:], SCHEMA).to_update(SCHEMA))


def layouts(array):
    """Yield the same values in other memory: columns first, strided, backwards, off its natural boundary."""
    yield np.asfortranarray(array)
    wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), np.float32)
    wide[..., ::2] = array
    yield wide[..., ::2]
    yield np.ascontiguousarray(array[::-1])[::-1]
    raw = np.zeros(array.nbytes + 1, np.uint8)
    view = raw[1:].view(np.float32).reshape(array.shape)
    view[...] = array
    yield view


@pytest.mark.parametrize("name", CODECS)
def test_memory_layout_does_not_show(encoded, name):
    kinds = zip(*(layouts(array) for array in DELTA.values()), strict=True)
    for arrays in kinds:
        delta = dict(zip(DELTA, arrays, strict=True))
        codec = CODECS[name]()
        assert codec.encode(delta, SCHEMA, CONTEXT).data == encoded[name]
        codec.acknowledge(accepted=True)
    for kind in (bytearray, memoryview):
        assert digest_of(decode_update(kind(encoded[name]), SCHEMA, CONTEXT)) == expected(encoded[name])


SCRIPT = """
import hashlib, json, sys
import numpy as np
sys.path.insert(0, sys.argv[1])
from flare_offchain.compression import decode_update
from flare_offchain.core.tensors import ModelSchema, TensorSpec
schema = ModelSchema(tuple(TensorSpec(n, tuple(s)) for n, s in json.loads(sys.argv[2])))
for line in sys.stdin:
    update = decode_update(bytes.fromhex(line.strip()), schema, bytes(range(32)))
    seen = hashlib.sha256()
    for spec in schema.tensors:
        tensor = update.tensors[spec.name]
        seen.update(f"{spec.name} {tensor.exponent}".encode() + tensor.integers.astype("<i8").tobytes())
    print(seen.hexdigest())
from threadpoolctl import threadpool_info
blas = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
print("blas", blas[0]["version"], blas[0].get("architecture"))
"""


def decode_elsewhere(python, encoded, **environment):
    """Decode in another process; return the digests, and version and kernel of its BLAS."""
    shapes = json.dumps([[spec.name, list(spec.shape)] for spec in SCHEMA.tensors])
    root = str(Path(flare_offchain.__file__).parents[1])
    done = subprocess.run(
        [python, "-c", SCRIPT, root, shapes],
        input="\n".join(data.hex() for data in encoded.values()),
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    *digests, blas = done.stdout.split("\n")[:-1]
    return digests, tuple(blas.split()[1:])


def test_kernels_of_other_processors_decode_to_the_same_bits(encoded):
    kernels = set()
    for core in ("Prescott", "Haswell", "SkylakeX"):
        digests, (_, kernel) = decode_elsewhere(sys.executable, encoded, OPENBLAS_CORETYPE=core)
        assert digests == [expected(data) for data in encoded.values()]
        kernels.add(kernel)
    if len(kernels) < 2:
        pytest.skip(f"this numpy's BLAS knows one kernel only: {kernels}")


@pytest.mark.slow
def test_another_blas_build_decodes_to_the_same_bits(encoded):
    if not OTHER_BLAS.exists():
        pytest.skip(
            f"there is no second numpy: python -m venv {OTHER_BLAS.parents[1]} and there pip install numpy==1.26.4"
            " dag-cbor multiformats zstandard threadpoolctl"
        )
    digests, other = decode_elsewhere(str(OTHER_BLAS), encoded)
    assert digests == [expected(data) for data in encoded.values()]
    assert other != decode_elsewhere(sys.executable, encoded)[1]
