"""What every compressor of bytes and every codec of updates must do."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import pytest

from flare_offchain.compression.codec import FRAME_BYTES, UpdateCodec, decode_update
from flare_offchain.compression.compressor import Compressor
from flare_offchain.core.errors import MalformedObject
from flare_offchain.core.tensors import ModelSchema
from flare_offchain.utils.threads import single_threaded

CONTEXT = bytes(range(32))


def model_update(seed: int = 0, scale: float = 0.01) -> dict[str, np.ndarray]:
    """An update with a matrix and its bias, a kernel, a vector, a scalar and an empty tensor."""
    generator = np.random.Generator(np.random.PCG64(seed))

    def draw(*shape: int) -> np.ndarray:
        return (scale * generator.standard_normal(shape)).astype(np.float32)

    left, right = draw(40, 3), draw(3, 60)
    return {
        "dense.bias": draw(40),
        "dense.weight": (left @ right / scale + 0.1 * draw(40, 60)).astype(np.float32),
        "empty": np.zeros((0, 5), np.float32),
        "kernel.weight": draw(16, 4, 3, 3),
        "norm": draw(16),
        "scalar": draw(),
    }


def same_update(left, right) -> bool:
    """Whether two decoded updates are equal in every integer and exponent."""
    return left.schema == right.schema and all(
        np.array_equal(left.tensors[t.name].integers, right.tensors[t.name].integers)
        and left.tensors[t.name].exponent == right.tensors[t.name].exponent
        for t in left.schema.tensors
    )


class ByteCompressorSuite(ABC):
    """For compressors of bytes."""

    @abstractmethod
    def make(self, **arguments) -> Compressor[bytes]:
        """Return a new compressor."""

    @pytest.mark.parametrize("data", [b"", b"a", bytes(1000), bytes(range(256)) * 20, b"flare" * 999])
    def test_round_trip_gives_the_same_bytes(self, data):
        compressor = self.make()
        packed = compressor.compress(data)
        assert isinstance(packed, bytes)
        assert compressor.decompress(packed) == data
        assert self.make().compress(data) == packed

    def test_output_at_the_bound_passes_and_one_byte_more_is_refused(self):
        compressor = self.make(max_bytes=1000)
        assert compressor.decompress(compressor.compress(bytes(1000))) == bytes(1000)
        with pytest.raises(MalformedObject, match="1000"):
            compressor.decompress(compressor.compress(bytes(1001)))


class UpdateCodecSuite(ABC):
    """For codecs of updates. Codecs that promise an error refuse what the format's window cannot say."""

    refuses_tiny = False

    @abstractmethod
    def make(self) -> UpdateCodec:
        """Return a new codec with empty memory."""

    def encode(self, delta, codec=None):
        schema = ModelSchema.of(delta)
        return schema, (codec or self.make()).encode(delta, schema, CONTEXT)

    def test_decoding_gives_the_encoders_own_reconstruction_without_its_state(self):
        codec, delta = self.make(), model_update()
        schema = ModelSchema.of(delta)
        for round_number in range(3):
            context = bytes([round_number]) * 32
            encoded = codec.encode(delta, schema, context)
            assert same_update(self.make().decode(encoded.data, schema, context), encoded.reconstruction)
            assert same_update(decode_update(encoded.data, schema, context), encoded.reconstruction)
            codec.acknowledge(accepted=True)

    def test_same_input_gives_same_bytes_with_any_number_of_threads(self):
        generator = np.random.Generator(np.random.PCG64(1))
        delta = {"weight": generator.standard_normal((300, 400)).astype(np.float32)}
        _, free = self.encode(delta)
        with single_threaded():
            _, held = self.encode(delta)
        assert free.data == held.data

    def test_input_is_not_changed(self):
        delta = model_update()
        before = {name: array.copy() for name, array in delta.items()}
        self.encode(delta)
        assert all(np.array_equal(delta[name], before[name]) for name in before)

    def test_update_for_another_context_is_refused(self):
        schema, encoded = self.encode(model_update())
        with pytest.raises(MalformedObject, match="another sender, task, round or base model"):
            decode_update(encoded.data, schema, bytes(32))

    def test_update_of_another_model_is_refused(self):
        schema, encoded = self.encode(model_update())
        other = model_update()
        other["norm"] = np.zeros(17, np.float32)
        with pytest.raises(MalformedObject):
            decode_update(encoded.data, ModelSchema.of(other), CONTEXT)
        with pytest.raises(MalformedObject):
            self.make().encode(other, schema, CONTEXT)

    def test_every_truncation_is_refused(self):
        schema, encoded = self.encode(model_update())
        ends = {*range(FRAME_BYTES + 40), *range(0, len(encoded.data), 97), len(encoded.data) - 1}
        for end in ends - {len(encoded.data)}:
            with pytest.raises(MalformedObject):
                decode_update(encoded.data[:end], schema, CONTEXT)

    @pytest.mark.parametrize("tail", [b"\0", b"\0\0", b"\xff\xff", bytes(1000)])
    def test_trailing_bytes_are_refused(self, tail):
        schema, encoded = self.encode(model_update())
        with pytest.raises(MalformedObject):
            decode_update(encoded.data + tail, schema, CONTEXT)

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38, -(2.0**31)])
    def test_values_that_no_training_gives_are_refused_with_the_tensors_name(self, value):
        delta = model_update()
        delta["norm"][3] = value
        with pytest.raises(MalformedObject, match="norm"):
            self.encode(delta)

    def test_wrong_dtype_and_wrong_context_length_are_refused(self):
        delta = model_update()
        schema = ModelSchema.of(delta)
        with pytest.raises(MalformedObject, match="32 bytes"):
            self.make().encode(delta, schema, b"short")
        with pytest.raises(MalformedObject, match="float64"):
            self.make().encode(delta | {"norm": np.zeros(16)}, schema, CONTEXT)

    @pytest.mark.parametrize(
        "delta",
        [
            {},
            {"zero": np.zeros((30, 40), np.float32)},
            {"column": np.outer(np.eye(30, dtype=np.float32)[3], np.ones(50, np.float32))},
            {"ones": np.ones((64, 64), np.float32)},
            {"tiny": np.full((40, 40), 1e-30, np.float32)},
            {"large": np.full((40, 40), 2.0**30, np.float32)},
            {"mixed": np.array([[1e-20, 1e9] * 20] * 40, np.float32)},
            {"scalar": np.float32(0.5).reshape(())},
            {"none": np.zeros((0, 7), np.float32), "some": np.ones(1, np.float32)},
            {"a.weight": np.zeros((3, 0), np.float32), "a.bias": np.ones(3, np.float32)},
        ],
        ids=lambda delta: next(iter(delta), "no tensors"),
    )
    def test_degenerate_updates_pass(self, delta):
        if self.refuses_tiny and "tiny" in delta:
            with pytest.raises(MalformedObject):
                self.encode(delta)
            return
        schema, encoded = self.encode(delta)
        assert same_update(decode_update(encoded.data, schema, CONTEXT), encoded.reconstruction)
        assert all(np.isfinite(tensor.to_float()).all() for tensor in encoded.reconstruction.tensors.values())

    def test_zero_update_costs_one_byte_a_matrix(self):
        delta = {name: np.zeros_like(array) for name, array in model_update().items()}
        _, encoded = self.encode(delta)
        assert len(encoded.data) == FRAME_BYTES + 5

    def test_state_survives_a_restart(self):
        codec, delta = self.make(), model_update()
        schema = ModelSchema.of(delta)
        codec.encode(delta, schema, bytes(32))
        codec.acknowledge(accepted=True)
        codec.encode(model_update(1), schema, CONTEXT)
        restored = self.make()
        restored.load_state(codec.state_bytes(), schema)
        assert restored.state_bytes() == codec.state_bytes()
        codec.acknowledge(accepted=False)
        restored.acknowledge(accepted=False)
        following = model_update(2)
        assert restored.encode(following, schema, bytes(32)).data == codec.encode(following, schema, bytes(32)).data

    def test_encoding_again_for_the_same_context_gives_the_same_bytes(self):
        codec, delta = self.make(), model_update()
        schema = ModelSchema.of(delta)
        codec.encode(model_update(1), schema, bytes(32))
        codec.acknowledge(accepted=True)
        first = codec.encode(delta, schema, CONTEXT)
        assert codec.encode(delta, schema, CONTEXT).data == first.data

    def test_corrupt_state_is_refused_and_leaves_the_codec_usable(self):
        codec, delta = self.make(), model_update()
        schema, encoded = self.encode(delta, codec)
        state = codec.state_bytes()
        for damaged in (b"junk", state[:-1], state + b"\0", state[:40] + b"\xff" + state[41:]):
            if damaged not in (state, b""):
                with pytest.raises(MalformedObject):
                    codec.load_state(damaged, schema)
        assert codec.encode(delta, schema, CONTEXT).data == encoded.data

    def test_compress_is_self_describing_and_leaves_the_state_alone(self):
        codec, delta = self.make(), model_update()
        before = codec.state_bytes()
        packed = codec.compress(delta)
        assert codec.state_bytes() == before
        back = self.make().decompress(packed)
        assert {name: array.shape for name, array in back.items()} == {n: a.shape for n, a in delta.items()}
        assert all(array.dtype == np.float32 for array in back.values())
        for end in (0, 3, 10, len(packed) - 1):
            with pytest.raises(MalformedObject):
                codec.decompress(packed[:end])
