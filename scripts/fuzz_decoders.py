"""Coverage-guided fuzzing of every decoder of foreign bytes (atheris, libFuzzer).

    make fuzz                                    # a minute of all decoders
    python scripts/fuzz_decoders.py --seconds 600 --corpus FOLDER

An input's first byte chooses the decoder. Anything but a result or `MalformedObject` is a finding, as are an input that
takes longer than 10 seconds or more than 2 GiB of memory; libFuzzer writes it to the corpus's folder and stops with a
status other than 0. What is decoded must be canonical: written again it is the same bytes. The corpus starts with what
every codec writes and grows by inputs that reach new code; it is kept in ~/.cache/flare/fuzz by default.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["flare_offchain.compression", "flare_offchain.utils.serialization"]):
    from flare_offchain import compression
    from flare_offchain.compression import codec, plan
    from flare_offchain.utils import serialization

import numpy as np

from flare_offchain.core.errors import MalformedObject
from flare_offchain.core.tensors import ModelSchema, Weights

CONTEXT = bytes(range(32))
MAX_INPUT = 1 << 14
_STATE_BODY = 4 + hashlib.sha256().digest_size


def example(seed: int, scale: float) -> Weights:
    """Return ΔW of a small model with every kind of group."""
    generator = np.random.Generator(np.random.PCG64(seed))
    shapes = {"a.weight": (24, 40), "a.bias": (24,), "c.weight": (6, 3, 3, 3), "v": (17,), "empty": (0, 4), "s": ()}
    return {
        name: np.asarray(scale * generator.standard_normal(shape), np.float32) for name, shape in sorted(shapes.items())
    }


SCHEMA = ModelSchema.of(example(0, 1.0))
CODECS: dict[str, Callable[[], codec.UpdateCodec]] = {
    "none": compression.DenseCodec,
    "low rank": lambda: compression.PowerSGDCompressor(min_compression_rate=0.5),
    "ratio": lambda: compression.PowerSGDCompressor(8, ratio=10.0, min_compression_rate=0.1),
    "adaptive": lambda: compression.AdaptiveCodec(20.0),
    "bounded": lambda: compression.ErrorBoundedCodec(0.01),
    "ternary": compression.TernaryCompressor,
    "top-k": lambda: compression.TopKCompressor(0.1),
}


def read_update(data: bytes) -> None:
    """A plan under the right frame: the bytes that follow it are what is foreign."""
    framed = codec.frame(CONTEXT, data)
    update = codec.decode_update(framed, SCHEMA, CONTEXT)
    if not np.isfinite(update.to_vector()).all():
        raise AssertionError("an update decodes to values that are not finite")
    if plan.UpdatePlan.from_bytes(data, SCHEMA).to_bytes() != data:
        raise AssertionError("an update is not canonical")


def read_whole_update(data: bytes) -> None:
    """An update, frame included."""
    codec.decode_update(data, SCHEMA, CONTEXT)


def read_state(data: bytes) -> None:
    """A codec's memory with a checksum that fits, so that what it covers is read."""
    sealed = b"FLS1" + hashlib.sha256(data).digest() + data
    memory = compression.PowerSGDCompressor(min_compression_rate=0.5)
    memory.load_state(sealed, SCHEMA)
    if memory.state_bytes() != sealed:
        raise AssertionError("a codec state is not canonical")


def read_self_describing(data: bytes) -> None:
    """What `compress` of an update codec writes."""
    compression.DenseCodec().decompress(data)


def read_model(data: bytes) -> None:
    """A model."""
    if serialization.write_model(serialization.read_model(data)) != data:
        raise AssertionError("a model is not canonical")


def read_record(data: bytes) -> None:
    """A DAG-CBOR record."""
    if serialization.encode_record(serialization.decode_record(data, max_bytes=MAX_INPUT)) != data:
        raise AssertionError("a record is not canonical")


def read_zlib(data: bytes) -> None:
    """Compressed bytes, of which no more may come than asked for."""
    if len(compression.ZlibCompressor(max_bytes=1000).decompress(data)) > 1000:
        raise AssertionError("the limit on unpacked bytes was passed")


def read_gzip(data: bytes) -> None:
    """The same, gzip."""
    if len(compression.GzipCompressor(max_bytes=1000).decompress(data)) > 1000:
        raise AssertionError("the limit on unpacked bytes was passed")


READERS = (
    read_update,
    read_whole_update,
    read_state,
    read_self_describing,
    read_model,
    read_record,
    read_zlib,
    read_gzip,
)


def one_input(data: bytes) -> None:
    """Decode one input; only `MalformedObject` may come out."""
    if not data:
        return
    try:
        READERS[data[0] % len(READERS)](data[1:])
    except MalformedObject:
        return


def write_seeds(folder: Path) -> None:
    """Put what the encoders write into the corpus."""
    seeds: list[tuple[Callable[[bytes], None], bytes]] = []
    for number, make in enumerate(CODECS.values()):
        for scale in (0.01, 3.0):
            delta = example(number, scale)
            encoder = make()
            data = encoder.encode(delta, SCHEMA, CONTEXT).data
            seeds += [(read_update, data[codec.FRAME_BYTES :]), (read_whole_update, data)]
            seeds += [(read_self_describing, make().compress(delta)), (read_state, encoder.state_bytes()[_STATE_BODY:])]
    seeds += [
        (read_model, serialization.write_model(example(0, 1.0))),
        (read_record, serialization.encode_record({"a": [1, -2, b"x", "y", True, None, 2.5], "b": {"c": []}})),
        (read_zlib, compression.ZlibCompressor().compress(b"abc" * 50)),
        (read_gzip, compression.GzipCompressor().compress(b"abc" * 50)),
    ]
    for reader, data in seeds:
        content = bytes([READERS.index(reader)]) + data
        (folder / hashlib.sha256(content).hexdigest()[:40]).write_bytes(content)


def main() -> None:
    """Fuzz until the time is over or something is found."""
    cache = Path(os.environ.get("FLARE_CACHE") or Path.home() / ".cache" / "flare") / "fuzz"
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60, help="how long")
    parser.add_argument("--corpus", type=Path, default=cache, help="folder of inputs; findings are written beside it")
    arguments = parser.parse_args()
    corpus: Path = arguments.corpus
    corpus.mkdir(parents=True, exist_ok=True)
    write_seeds(corpus)
    options = [
        f"-max_total_time={arguments.seconds}",
        f"-max_len={MAX_INPUT}",
        "-timeout=10",
        "-rss_limit_mb=2048",
        f"-artifact_prefix={corpus.parent}/found-",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *options, str(corpus)], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
