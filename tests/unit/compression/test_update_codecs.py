import numpy as np
import pytest

from flare_offchain.compression import CODECS, DenseCodec, PowerSGDCompressor, TopKCompressor, codec_from_spec
from flare_offchain.compression.codec import FRAME_BYTES, decode_update, max_update_bytes, relative_error, unframe
from flare_offchain.core.errors import ConfigurationError, MalformedObject
from flare_offchain.core.tensors import ModelSchema
from tests.suites.compressor_suite import CONTEXT, UpdateCodecSuite, model_update

pytestmark = pytest.mark.unit


class TestDenseCodec(UpdateCodecSuite):
    def make(self):
        return DenseCodec()

    def test_error_is_below_float32_rounding_of_the_largest_element(self):
        delta = model_update()
        _, encoded = self.encode(delta)
        for name, array in delta.items():
            error = np.abs(encoded.reconstruction.tensors[name].to_float() - array).max(initial=0.0)
            assert error <= 2.0**-23 * np.abs(array).max(initial=0.0)

    def test_values_on_the_grid_are_exact(self):
        delta = {"w": np.arange(-500, 500, dtype=np.float32).reshape(10, 100) / 1024}
        _, encoded = self.encode(delta)
        assert np.array_equal(encoded.reconstruction.tensors["w"].to_float(), delta["w"].astype(np.float64))


class TestPowerSGDCompressor(UpdateCodecSuite):
    def make(self):
        return PowerSGDCompressor()


class TestPowerSGDWithoutMemory(UpdateCodecSuite):
    def make(self):
        return PowerSGDCompressor(2, 2, 1.0, bits=8, error_feedback=False, warm_start=False)


class TestTopKCompressor(UpdateCodecSuite):
    def make(self):
        return TopKCompressor()

    def test_keeps_the_largest_elements(self):
        values = np.linspace(-1, 1, 101, dtype=np.float32)
        reconstruction = self.encode({"v": values}, TopKCompressor(0.1, bits=6))[1].reconstruction
        kept = np.flatnonzero(reconstruction.tensors["v"].integers)
        assert sorted(kept) == [0, 1, 2, 3, 4, 96, 97, 98, 99, 100]
        assert np.allclose(reconstruction.tensors["v"].to_float()[kept], values[kept], atol=0.1)

    def test_two_bits_give_one_magnitude(self):
        tensor = self.encode(model_update(), TopKCompressor(0.05))[1].reconstruction.tensors["dense.weight"]
        assert len(np.unique(np.abs(tensor.integers))) == 2


class TestFourBitTopK(UpdateCodecSuite):
    def make(self):
        return TopKCompressor(0.2, bits=4, error_feedback=False)


class TestFrame:
    @pytest.mark.parametrize(("position", "value"), [(0, 0x47), (3, 0x32), (4, 0x82), (5, 0x59), (6, 0x21)], ids=str)
    def test_other_magic_or_header_is_refused(self, position, value):
        delta = model_update()
        schema = ModelSchema.of(delta)
        data = bytearray(DenseCodec().encode(delta, schema, CONTEXT).data)
        data[position] = value
        with pytest.raises(MalformedObject):
            decode_update(bytes(data), schema, CONTEXT)

    def test_object_larger_than_any_update_is_refused_unread(self):
        schema = ModelSchema.of({"w": np.zeros(3, np.float32)})
        with pytest.raises(MalformedObject, match="at most"):
            decode_update(bytes(max_update_bytes(schema) + 1), schema, CONTEXT)
        with pytest.raises(MalformedObject, match="32 bytes"):
            unframe(bytes(FRAME_BYTES), b"")

    @pytest.mark.parametrize("schema", [{}, [1], [["a"]], [["a", [True]]], [["b", [1]], ["a", [1]]], [["a", [2**40]]]])
    def test_schema_that_is_no_schema_is_refused(self, schema):
        from flare_offchain.utils.serialization import encode_record

        head = encode_record(schema)
        with pytest.raises(MalformedObject):
            DenseCodec().decompress(len(head).to_bytes(4, "little") + head + bytes(50))


class TestRelativeError:
    def test_is_the_frobenius_ratio_over_all_tensors(self):
        original = {"a": np.array([3.0, 0.0]), "b": np.array([4.0])}
        assert relative_error(original, {"a": np.array([3.0, 0.0]), "b": np.array([4.5])}) == pytest.approx(0.1)
        assert PowerSGDCompressor.compute_compression_error(np.ones(4), np.zeros(4)) == 1.0

    def test_of_zeros(self):
        assert relative_error(np.zeros(3), np.zeros(3)) == 0.0
        assert relative_error(np.zeros(3), np.ones(3)) == float("inf")

    def test_of_other_tensors_is_refused(self):
        with pytest.raises(MalformedObject):
            relative_error({"a": np.ones(1)}, {"b": np.ones(1)})


class TestCodecFromSpec:
    def test_every_name_builds_with_defaults(self):
        for name, kind in CODECS.items():
            assert isinstance(codec_from_spec(name, {}), kind)

    def test_parameters_reach_the_codec(self):
        codec = codec_from_spec("powersgd", {"rank": 2, "min_compression_rate": 3, "bits": 5, "warm_start": False})
        assert (codec.rank, codec.min_compression_rate, codec.bits, codec.warm_start) == (2, 3.0, 5, False)

    @pytest.mark.parametrize(
        ("name", "parameters"),
        [
            ("gzip", {}),
            ("powersgd", {"ranks": 4}),
            ("powersgd", {"rank": 4.0}),
            ("powersgd", {"rank": True}),
            ("powersgd", {"rank": 0}),
            ("powersgd", {"rank": 65}),
            ("powersgd", {"power_iterations": 0}),
            ("powersgd", {"min_compression_rate": -1.0}),
            ("powersgd", {"bits": 1}),
            ("powersgd", {"dense_bits": 9}),
            ("powersgd", {"returned": 1.5}),
            ("powersgd", {"warm_start": 1}),
            ("topk", {"density": 0.0}),
            ("topk", {"density": "all"}),
            ("topk", {"bits": 16}),
            ("none", {"bits": 8}),
        ],
    )
    def test_anything_else_is_refused(self, name, parameters):
        with pytest.raises(ConfigurationError):
            codec_from_spec(name, parameters)
