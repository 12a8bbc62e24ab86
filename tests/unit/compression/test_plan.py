import numpy as np
import pytest

from flare_offchain.compression.exact import MAX_EXPONENT, MIN_EXPONENT
from flare_offchain.compression.layout import groups_of
from flare_offchain.compression.plan import (
    COLUMNS,
    FIRST_SCALE,
    ROWS,
    SCALES,
    Dense,
    GroupPlan,
    Term,
    UpdatePlan,
    nearest_scale,
    scale_parts,
    scale_value,
)
from flare_offchain.core.errors import MalformedObject
from flare_offchain.core.tensors import ModelSchema

pytestmark = pytest.mark.unit

SCHEMA = ModelSchema.of({"a.bias": np.zeros(3, np.float32), "a.weight": np.zeros((3, 4), np.float32)})


def ints(*values):
    return np.array(values, np.int64)


def plan(terms=(), dense=()):
    return UpdatePlan((GroupPlan(tuple(terms), tuple(dense)),))


TERM = Term(100, ints(1, -2, 3), ints(2, 0, 1, 0, -1))


class TestScales:
    def test_grow_by_quarters_of_an_octave_inside_the_window(self):
        values = [scale_value(scale) for scale in range(FIRST_SCALE, SCALES)]
        ratios = np.array(values[1:]) / np.array(values[:-1])
        assert ((ratios > 1.14) & (ratios <= 1.25)).all()
        assert all(MIN_EXPONENT <= scale_parts(s)[1] <= MAX_EXPONENT for s in range(FIRST_SCALE, SCALES))

    def test_nearest_by_ratio(self):
        for scale in range(FIRST_SCALE, SCALES):
            assert nearest_scale(scale_value(scale) * 1.01) == scale
            assert nearest_scale(scale_value(scale), at_least=True) == scale
        assert nearest_scale(1e-30) == FIRST_SCALE
        assert nearest_scale(1e30) == nearest_scale(1e30, at_least=True) == SCALES - 1


class TestLayout:
    def test_bias_joins_its_weight(self):
        (group,) = groups_of(SCHEMA)
        assert (group.rows, group.columns) == (3, 5)
        arrays = {"a.weight": np.arange(12).reshape(3, 4), "a.bias": np.array([100, 101, 102])}
        joined = group.join(arrays)
        assert joined[:, 4].tolist() == [100, 101, 102]
        back = group.split(joined)
        assert all(np.array_equal(back[name], arrays[name]) for name in arrays)

    @pytest.mark.parametrize(
        ("shapes", "pairs"),
        [
            ({"r.weight_ih_l0": (6, 2), "r.bias_ih_l0": (6,)}, 1),
            ({"r.weight": (6, 2), "r.bias": (5,)}, 0),
            ({"n.weight": (6,), "n.bias": (6,)}, 0),
            ({"weight": (6, 2, 3), "bias": (6,)}, 1),
            ({"weights.a": (2, 2), "biass.a": (2,)}, 1),
            ({"x": (6, 2), "bias": (6,)}, 0),
        ],
    )
    def test_only_matching_names_and_shapes_pair(self, shapes, pairs):
        schema = ModelSchema.of({name: np.zeros(shape, np.float32) for name, shape in shapes.items()})
        groups = groups_of(schema)
        assert sum(group.bias is not None for group in groups) == pairs
        assert len(groups) == len(shapes) - pairs


class TestUpdatePlan:
    @pytest.mark.parametrize(
        "value",
        [
            plan(),
            plan([TERM]),
            plan([TERM, Term(90, ints(1, 1, 1), ints(0, 0, 0, 0, 5))]),
            plan(dense=[Dense(120, np.arange(12)), Dense(0, ints(0, 0, 0))]),
            plan([TERM], [Dense(0, np.zeros(12, np.int64)), Dense(80, ints(1, 2, 3))]),
        ],
    )
    def test_round_trip(self, value):
        data = value.to_bytes()
        back = UpdatePlan.from_bytes(data, SCHEMA)
        assert back.to_bytes() == data
        assert repr(back) == repr(value)

    def test_terms_and_dense_add_exactly(self):
        update = plan([TERM], [Dense(120, np.arange(12)), Dense(99, ints(7, 8, 9))]).to_update(SCHEMA)
        matrix = scale_value(100) * np.outer(TERM.left, TERM.right)
        weight = matrix[:, :4] + scale_value(120) * np.arange(12).reshape(3, 4)
        assert np.array_equal(update.tensors["a.weight"].to_float(), weight)
        assert np.array_equal(update.tensors["a.bias"].to_float(), matrix[:, 4] + scale_value(99) * ints(7, 8, 9))

    def test_dense_tensors_of_one_group_keep_their_own_exponents(self):
        update = plan(dense=[Dense(200, np.arange(12)), Dense(8, ints(1, 0, 0))]).to_update(SCHEMA)
        assert update.tensors["a.weight"].exponent == scale_parts(200)[1]
        assert update.tensors["a.bias"].exponent == scale_parts(8)[1]

    def test_all_zero_tensor_has_exponent_zero(self):
        update = plan(dense=[Dense(120, np.arange(12)), Dense(0, ints(0, 0, 0))]).to_update(SCHEMA)
        assert update.tensors["a.bias"].exponent == 0

    @pytest.mark.parametrize(
        "value",
        [
            plan([Term(100, ints(0, 0, 0), ints(1, 0, 0, 0, 0))]),
            plan(dense=[Dense(100, np.zeros(12, np.int64)), Dense(0, ints(0, 0, 0))]),
            plan([TERM] * 4),
            plan([Term(FIRST_SCALE - 1, TERM.left, TERM.right)]),
            plan([Term(SCALES, TERM.left, TERM.right)]),
        ],
        ids=["zero term", "zero dense", "rank above the matrix", "scale too small", "scale too large"],
    )
    def test_what_no_encoder_writes_is_refused(self, value):
        with pytest.raises(MalformedObject):
            UpdatePlan.from_bytes(value.to_bytes(), SCHEMA)

    @pytest.mark.parametrize(
        "value",
        [
            plan([Term(100, ints(3000, 1, 1), ints(6000, 1, 1, 1, 1))]),
            plan([Term(200, TERM.left, TERM.right), Term(10, TERM.left, TERM.right)]),
            plan([Term(140, ints(2**24, 1, 1), ints(2**24, 1, 1, 1, 1)), Term(100, TERM.left, TERM.right)]),
            plan([Term(200, TERM.left, TERM.right)], [Dense(10, np.arange(12)), Dense(0, ints(0, 0, 0))]),
        ],
        ids=["product", "spread of terms", "beyond float", "dense below terms"],
    )
    def test_integers_out_of_range_are_refused(self, value):
        read = UpdatePlan.from_bytes(value.to_bytes(), SCHEMA)
        with pytest.raises(MalformedObject):
            read.to_update(SCHEMA)

    def test_code_that_is_not_the_cheapest_is_refused(self):
        data = bytearray(plan(dense=[Dense(120, np.arange(12)), Dense(0, ints(0, 0, 0))]).to_bytes())
        data[1] += 1
        with pytest.raises(MalformedObject):
            UpdatePlan.from_bytes(bytes(data), SCHEMA)


class TestCuts:
    MATRIX = np.array([[1, 0, 900, 0], [2, 0, -800, 0], [-1, 0, 700, 3]], np.int64)

    def cut(self, cut, matrix=None, bias=(1, 2, 3)):
        weight = Dense(100, (self.MATRIX if matrix is None else matrix).reshape(-1))
        return UpdatePlan((GroupPlan((), (weight, Dense(90, ints(*bias))), cut, 3),))

    @pytest.mark.parametrize("cut", [ROWS, COLUMNS])
    def test_lines_give_the_same_update_as_one_block(self, cut):
        value = self.cut(cut)
        back = UpdatePlan.from_bytes(value.to_bytes(), SCHEMA)
        assert repr(back) == repr(value)
        whole = plan(dense=value.groups[0].dense).to_update(SCHEMA)
        assert np.array_equal(back.to_update(SCHEMA).to_vector(), whole.to_vector())

    def test_a_weight_without_integers_has_no_lines(self):
        with pytest.raises(MalformedObject, match="one block"):
            UpdatePlan.from_bytes(self.cut(ROWS, 0 * self.MATRIX).to_bytes(), SCHEMA)

    @pytest.mark.parametrize("cut", [ROWS, COLUMNS])
    def test_lines_of_an_empty_matrix_are_refused(self, cut):
        schema = ModelSchema.of({"w": np.zeros((0, 0), np.float32)})
        with pytest.raises(MalformedObject, match="no lines"):
            UpdatePlan.from_bytes(bytes([cut, 0]), schema)
