import numpy as np
import pytest

from flare_offchain.compression import PowerSGDCompressor
from flare_offchain.compression.codec import relative_error
from flare_offchain.compression.lowrank import least_squares, orthonormal, subspace
from flare_offchain.core.tensors import ModelSchema
from tests.suites.compressor_suite import CONTEXT, model_update

pytestmark = pytest.mark.unit


def matrix(rows=60, columns=80, decay=0.6, seed=0):
    generator = np.random.Generator(np.random.PCG64(seed))
    left = np.linalg.qr(generator.standard_normal((rows, rows)))[0]
    right = np.linalg.qr(generator.standard_normal((columns, rows)))[0]
    return ((left * decay ** np.arange(rows)) @ right.T).astype(np.float32)


def optimal_error(values, rank):
    sigma = np.linalg.svd(values.astype(np.float64), compute_uv=False)
    return float(np.sqrt(np.square(sigma[rank:]).sum() / np.square(sigma).sum()))


class TestSubspace:
    def test_more_iterations_come_closer_to_the_best_error(self):
        values = matrix(decay=0.9)
        start = np.random.Generator(np.random.PCG64(1)).standard_normal((80, 4))
        errors = []
        for iterations in (1, 2, 4, 16):
            left, right = subspace(values, start, iterations)
            errors.append(relative_error(values, left @ right.T))
        assert errors == sorted(errors, reverse=True)
        assert errors[-1] <= 1.01 * optimal_error(values, 4)

    def test_factors_are_orthogonal_with_falling_norms(self):
        left, right = subspace(matrix(), np.ones((80, 4)) + np.eye(80)[:, :4], 3)
        assert np.allclose(left.T @ left, np.eye(4), atol=1e-5)
        gram = right.T @ right
        assert np.allclose(gram, np.diag(np.diag(gram)), atol=1e-5)
        assert (np.diff(np.diag(gram)) <= 0).all()

    @pytest.mark.parametrize("values", [np.zeros((9, 3)), np.ones((9, 3)), np.eye(9)[:, [0, 0, 1]]])
    def test_dependent_columns_are_completed_without_nan(self, values):
        basis = orthonormal(values)
        assert np.allclose(basis.T @ basis, np.eye(3))

    def test_least_squares_repairs_a_quantised_factor(self):
        values = matrix().astype(np.float64)
        left, right = subspace(values, np.random.Generator(np.random.PCG64(1)).standard_normal((80, 4)), 4)
        rough = np.rint(left * 10)
        fitted = least_squares(values, rough)
        assert relative_error(values, rough @ fitted.T) < relative_error(values, rough / 10 @ right.T)
        assert np.isfinite(least_squares(values, np.ones((60, 2)))).all()


class TestPlan:
    def one_shot(self, delta, **settings):
        codec = PowerSGDCompressor(**settings)
        back = codec.decompress(codec.compress(delta))
        return relative_error(delta, back), codec.plan(delta, ModelSchema.of(delta))

    def test_matrix_of_low_rank_is_nearly_exact_at_eight_bits(self):
        generator = np.random.Generator(np.random.PCG64(5))
        low = (generator.standard_normal((60, 3)) @ generator.standard_normal((3, 80))).astype(np.float32)
        error, _ = self.one_shot({"w": low}, bits=8)
        assert error < 0.02

    def test_more_bits_lose_less(self):
        errors = [self.one_shot({"w": matrix()}, bits=bits)[0] for bits in range(2, 9)]
        assert errors == sorted(errors, reverse=True)

    def test_rank_is_within_ten_per_cent_of_the_best_with_iterations(self):
        error, _ = self.one_shot({"w": matrix(decay=0.9)}, bits=8, power_iterations=4)
        assert error <= 1.1 * optimal_error(matrix(decay=0.9), 4)

    def test_bias_travels_in_its_weights_matrix(self):
        _, plan = self.one_shot({"a.weight": matrix(), "a.bias": np.ones(60, np.float32)})
        (group,) = plan.groups
        assert len(group.terms) == 4
        assert all(term.right.size == 81 for term in group.terms)
        assert group.dense == ()

    def test_matrix_without_enough_gain_travels_dense(self):
        delta = {"w": matrix(12, 20)}
        _, compressed = self.one_shot(delta, rank=2, min_compression_rate=3.0)
        _, dense = self.one_shot(delta, rank=2, min_compression_rate=4.0)
        assert compressed.groups[0].terms
        assert not compressed.groups[0].dense
        assert not dense.groups[0].terms
        assert dense.groups[0].dense

    def test_convolution_kernel_is_a_matrix_of_its_outputs(self):
        delta = {"k.weight": matrix(32, 72).reshape(32, 8, 3, 3)}
        error, plan = self.one_shot(delta, rank=4, bits=8, power_iterations=3)
        assert plan.groups[0].terms[0].left.size == 32
        assert error <= 1.1 * optimal_error(matrix(32, 72), 4)


class TestWarmStart:
    def test_repeated_updates_converge_to_the_best_subspace(self):
        values = {"w": matrix(decay=0.95)}
        schema = ModelSchema.of(values)
        codec = PowerSGDCompressor(bits=8, error_feedback=False)
        errors = []
        for number in range(8):
            decoded = codec.encode(values, schema, bytes([number]) * 32).reconstruction
            errors.append(relative_error(values["w"], decoded.tensors["w"].to_float()))
        assert errors[-1] < errors[0]
        assert errors[-1] <= 1.05 * optimal_error(values["w"], 4)

    def test_start_of_another_rank_is_refused(self):
        delta = model_update()
        schema = ModelSchema.of(delta)
        codec = PowerSGDCompressor(rank=2)
        codec.encode(delta, schema, CONTEXT)
        from flare_offchain.core.errors import MalformedObject

        with pytest.raises(MalformedObject, match="rank"):
            PowerSGDCompressor(rank=3).load_state(codec.state_bytes(), schema)
