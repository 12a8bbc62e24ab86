import numpy as np
import pytest

from flare_offchain.compression import (
    CODECS,
    AdaptiveCodec,
    DenseCodec,
    ErrorBoundedCodec,
    PowerSGDCompressor,
    TernaryCompressor,
    TopKCompressor,
    codec_from_spec,
)
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


class TestPowerSGDOfARatio(UpdateCodecSuite):
    def make(self):
        return PowerSGDCompressor(16, ratio=40.0, min_compression_rate=0.5)

    @pytest.mark.parametrize("ratio", [40.0, 80.0])
    def test_update_takes_about_the_bytes_that_the_ratio_leaves(self, ratio):
        generator = np.random.Generator(np.random.PCG64(2))
        delta = {"w": generator.standard_normal((200, 300)).astype(np.float32), "v": np.zeros(9, np.float32)}
        codec = PowerSGDCompressor(32, ratio=ratio, min_compression_rate=0.1)
        size = len(self.encode(delta, codec)[1].data)
        assert 0.75 * 4 * 60_009 / ratio <= size <= 1.2 * 4 * 60_009 / ratio

    def test_strong_matrices_get_the_directions(self):
        generator = np.random.Generator(np.random.PCG64(3))
        weak, strong = (generator.standard_normal((100, 100)).astype(np.float32) for _ in range(2))
        codec = PowerSGDCompressor(16, ratio=80.0, min_compression_rate=0.1)
        plan = codec.plan({"a": weak * np.float32(1e-3), "b": strong}, ModelSchema.of({"a": weak, "b": strong}))
        assert len(plan.groups[0].terms) == 0
        assert len(plan.groups[1].terms) >= 4


class TestTernaryCompressor(UpdateCodecSuite):
    def make(self):
        return TernaryCompressor()

    def test_threshold_zero_keeps_every_sign(self):
        values = np.array([-3, -0.1, 0, 0.2, 5], np.float32)
        tensor = self.encode({"v": values}, TernaryCompressor(0.0))[1].reconstruction.tensors["v"]
        assert np.array_equal(np.sign(tensor.integers), np.sign(values))
        assert len(np.unique(np.abs(tensor.integers))) == 2

    def test_threshold_above_the_largest_element_still_sends_it(self):
        tensor = self.encode({"v": np.ones(9, np.float32)}, TernaryCompressor(10.0))[1].reconstruction.tensors["v"]
        assert tensor.to_float().tolist() == [1.0] * 9


class TestAdaptiveCodec(UpdateCodecSuite):
    def make(self):
        return AdaptiveCodec(40.0)

    def test_few_large_elements_travel_alone_and_low_rank_as_terms(self):
        generator = np.random.Generator(np.random.PCG64(4))
        spikes = np.zeros((80, 100), np.float32)
        spikes.reshape(-1)[generator.choice(8000, 60, replace=False)] = 1
        smooth = np.outer(generator.standard_normal(80), generator.standard_normal(100)).astype(np.float32)
        kinds = []
        for values in (spikes, smooth):
            group = AdaptiveCodec(100.0).plan({"w": values}, ModelSchema.of({"w": values})).groups[0]
            kinds.append((bool(group.terms), bool(group.dense)))
        assert kinds == [(False, True), (True, False)]


class TestErrorBoundedCodec(UpdateCodecSuite):
    refuses_tiny = True

    def make(self):
        return ErrorBoundedCodec(0.01)

    @pytest.mark.parametrize("bound", [1e-5, 1e-3, 10**-1.5, 0.3])
    def test_loses_no_more_and_little_less_than_allowed(self, bound):
        delta = model_update()
        _, encoded = self.encode(delta, ErrorBoundedCodec(bound))
        back = {name: tensor.to_float() for name, tensor in encoded.reconstruction.tensors.items()}
        assert 0.7 * bound <= relative_error(delta, back) <= bound

    def test_low_rank_and_silent_columns_are_used(self):
        generator = np.random.Generator(np.random.PCG64(6))
        low = generator.standard_normal((100, 3)) @ generator.standard_normal((3, 200))
        low += 0.01 * generator.standard_normal((100, 200))
        sparse = generator.standard_normal((100, 200)) * (np.arange(200) % 2)
        sizes = [len(self.encode({"w": w.astype(np.float32)}, ErrorBoundedCodec(1e-3))[1].data) for w in (low, sparse)]
        whole = len(self.encode({"w": generator.standard_normal((100, 200)).astype(np.float32)})[1].data)
        assert sizes[0] < 0.7 * 4 * 20_000 / 3.2
        assert sizes[1] < 0.62 * 4 * 20_000 / 3.2
        assert whole > 0

    def test_what_the_window_cannot_say_is_refused_by_encode_and_kept_by_compress(self):
        delta = {"w": np.full((4, 5), 1e-40, np.float32)}
        with pytest.raises(MalformedObject, match="cannot be kept"):
            self.encode(delta)
        codec = self.make()
        assert relative_error(delta, codec.decompress(codec.compress(delta))) <= 0.01


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
