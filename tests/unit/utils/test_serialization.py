"""The canonical encodings: round trips, the reference library, and refusal of everything else."""

import json

import dag_cbor
import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from multiformats import CID

from flare_offchain.core.errors import MalformedObject
from flare_offchain.core.tensors import MAX_TENSORS, ModelSchema
from flare_offchain.utils import serialization
from flare_offchain.utils.serialization import (
    MAX_DEPTH,
    decode_record,
    encode_record,
    model_bytes,
    read_model,
    read_safetensors,
    write_model,
    write_safetensors,
)

pytestmark = pytest.mark.unit

LIMIT = 2**20
DTYPES = ["?", "i1", "u1", "i4", "i8", "f4", "f8"]

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).filter(
    lambda name: name != "__metadata__"
)
shapes = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
arrays = st.sampled_from(DTYPES).flatmap(
    lambda dtype: hnp.arrays(
        dtype,
        shapes,
        elements={"allow_nan": False, "allow_infinity": False} if dtype.startswith("f") else None,
    )
)


def model() -> dict[str, np.ndarray]:
    return {
        "b": np.arange(6, dtype=np.float32).reshape(2, 3),
        "a": np.array([-0.0, 1.5], np.float32),
        "é": np.array(3, np.float32),
        "empty": np.zeros((0, 4), np.float32),
    }


def craft(header: object, body: bytes = b"", *, pad: bytes = b" ") -> bytes:
    """A file with any header text, for spelling what the writer never would."""
    text = header if isinstance(header, bytes) else json.dumps(header, separators=(",", ":")).encode()
    text += pad * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + body


def line(dtype="F32", shape=(1,), offsets=(0, 4)) -> dict[str, object]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


class TestSafetensors:
    @given(st.dictionaries(names, arrays, max_size=5))
    def test_round_trip_keeps_every_bit(self, tensors):
        data = write_safetensors(tensors)
        again = read_safetensors(data, max_bytes=LIMIT)
        assert list(again) == sorted(tensors, key=str.encode)
        for name, array in tensors.items():
            assert again[name].dtype == array.dtype
            assert again[name].shape == array.shape
            assert again[name].tobytes() == array.tobytes()
        assert write_safetensors(again) == data

    @given(st.dictionaries(names, arrays, max_size=5))
    def test_reference_library_reads_the_same_values(self, tensors):
        loaded = safetensors.numpy.load(write_safetensors(tensors))
        assert set(loaded) == set(tensors)
        for name, array in tensors.items():
            assert loaded[name].dtype == array.dtype
            assert np.array_equal(loaded[name], array)

    def test_known_bytes(self):
        data = write_safetensors({"b": np.array([1], np.uint8), "a": np.array([True])})
        header = (
            b'{"a":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]},'
            b'"b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}'
        )
        assert data == (112).to_bytes(8, "little") + header.ljust(112) + b"\x01\x01"

    def test_bytes_do_not_depend_on_dict_order_byte_order_or_layout(self):
        base = np.arange(12, dtype=np.float32).reshape(3, 4)
        variants = [base, np.asfortranarray(base), base.astype(">f4"), np.repeat(base, 2, axis=1)[:, ::2]]
        other = np.ones(2, np.int64)
        files = {write_safetensors({"x": v, "y": other}) for v in variants}
        files |= {write_safetensors({"y": other, "x": v}) for v in variants}
        assert len(files) == 1

    def test_arrays_read_are_writable_aligned_and_their_own(self):
        data = write_safetensors({"a": np.zeros(3, np.uint8), "b": np.ones(2, np.float64)})
        tensors = read_safetensors(data, max_bytes=LIMIT)
        tensors["b"][:] = 7
        assert tensors["b"].flags.aligned and tensors["b"].flags.c_contiguous
        assert read_safetensors(data, max_bytes=LIMIT)["b"].tolist() == [1, 1]

    @pytest.mark.parametrize(
        "tensors",
        [
            {"a": np.zeros(1, np.float16)},
            {"a": np.zeros(1, np.complex64)},
            {"a": np.array([None])},
            {"a": np.array(["text"])},
            {"": np.zeros(1)},
            {"__metadata__": np.zeros(1)},
            {"x" * 257: np.zeros(1)},
            {"\ud800": np.zeros(1)},
            {3: np.zeros(1)},
            {"a": np.zeros((1,) * 9)},
            {f"t{i}": np.zeros(1) for i in range(MAX_TENSORS + 1)},
        ],
    )
    def test_writer_refuses(self, tensors):
        with pytest.raises(MalformedObject):
            write_safetensors(tensors)

    def test_writer_refuses_a_header_beyond_the_limit(self, monkeypatch):
        monkeypatch.setattr(serialization, "MAX_HEADER_BYTES", 64)
        with pytest.raises(MalformedObject, match="header"):
            write_safetensors({"a": np.zeros(1), "b": np.zeros(1)})

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"\x08",
            (2**63).to_bytes(8, "little") + b"{}      ",
            (9).to_bytes(8, "little") + b"{}      ",
            craft(b"[]"),
            craft(b"nul"),
            craft(b"\xff\xff"),
            craft(b"["),
            craft(b"[" * 100_000),
            craft(b'"text"'),
            craft({}, pad=b"\n"),
            craft(b" {}"),
            craft(b"{}" + b" " * 14),
            craft({}, b"x"),
            craft({"a": line()}, b"\0" * 3),
            craft({"a": line()}, b"\0" * 5),
            craft({"a": line(offsets=(4, 8))}, b"\0" * 8),
            craft({"a": line(), "b": line(offsets=(0, 4))}, b"\0" * 4),
            craft({"a": line(), "b": line(offsets=(8, 12))}, b"\0" * 12),
            craft({"b": line(), "a": line(offsets=(4, 8))}, b"\0" * 8),
            craft({"a": line(shape=(2**62, 4), offsets=(0, 2**66))}),
            craft({"a": line(shape=(2**63,))}),
            craft({"a": line(shape=(-1,))}),
            craft({"a": line(shape=(True,))}, b"\0" * 4),
            craft({"a": line(shape=(1.0,))}, b"\0" * 4),
            craft({"a": line(shape=(1,) * 9)}, b"\0" * 4),
            craft({"a": line(dtype="F16", offsets=(0, 2))}, b"\0" * 2),
            craft({"a": line(dtype="BOOL", offsets=(0, 1))}, b"\x02"),
            craft({"a": {**line(), "more": 1}}, b"\0" * 4),
            craft({"a": {"dtype": "F32", "shape": [1]}}, b"\0" * 4),
            craft({"a": {"shape": [1], "dtype": "F32", "data_offsets": [0, 4]}}, b"\0" * 4),
            craft({"a": 1}),
            craft({"__metadata__": {"a": "b"}}),
            craft({"__metadata__": line()}, b"\0" * 4),
            craft({"": line()}, b"\0" * 4),
            craft({"é": line()}, b"\0" * 4),
            craft(b'{"a":' + b"9" * 5000 + b"}"),
            craft(
                b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},'
                b'"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}',
                b"\0" * 8,
            ),
            craft({f"t{i:05}": line(shape=(0,), offsets=(0, 0)) for i in range(MAX_TENSORS + 1)}),
        ],
    )
    def test_reader_refuses(self, data):
        with pytest.raises(MalformedObject):
            read_safetensors(data, max_bytes=LIMIT)

    def test_reader_refuses_what_the_reference_writer_orders_otherwise(self):
        data = safetensors.numpy.save({"a": np.zeros(1, np.float32), "b": np.zeros(1, np.int64)})
        with pytest.raises(MalformedObject, match="canonical"):
            read_safetensors(data, max_bytes=LIMIT)

    def test_reader_refuses_more_than_max_bytes(self):
        data = write_safetensors({"a": np.zeros(4)})
        assert read_safetensors(data, max_bytes=len(data))
        with pytest.raises(MalformedObject, match="limit"):
            read_safetensors(data, max_bytes=len(data) - 1)

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_values_that_are_not_finite_only_on_demand(self, value, dtype):
        data = write_safetensors({"a": np.array([0, value], dtype)})
        with pytest.raises(MalformedObject, match="finite"):
            read_safetensors(data, max_bytes=LIMIT)
        assert read_safetensors(data, max_bytes=LIMIT, require_finite=False)["a"].shape == (2,)

    @given(st.data())
    def test_any_change_of_one_byte_is_refused_or_changes_a_value(self, data):
        file = bytearray(write_safetensors({"a": np.ones(2, np.int32), "flag": np.array([True])}))
        at = data.draw(st.integers(0, len(file) - 1))
        file[at] ^= data.draw(st.integers(1, 255))
        try:
            tensors = read_safetensors(bytes(file), max_bytes=LIMIT)
        except MalformedObject:
            return
        assert write_safetensors(tensors) == bytes(file)

    @given(st.binary(max_size=300))
    def test_noise_is_refused(self, data):
        with pytest.raises(MalformedObject):
            read_safetensors(data, max_bytes=LIMIT)


class TestModel:
    def test_round_trip_and_length(self):
        weights = model()
        schema = ModelSchema.of(weights)
        data = write_model(weights)
        assert len(data) == model_bytes(schema)
        for again in (read_model(data, schema), read_model(data)):
            assert {n: a.tobytes() for n, a in again.items()} == {n: a.tobytes() for n, a in weights.items()}

    @pytest.mark.parametrize(
        "change",
        [
            {"a": np.zeros(3, np.float32)},
            {"a": np.zeros((2, 1), np.float32)},
            {"a": np.zeros(2, np.int32)},
            {"extra": np.zeros(0, np.float32)},
        ],
    )
    def test_another_schema_is_refused(self, change):
        data = write_safetensors({**model(), **change})
        with pytest.raises(MalformedObject):
            read_model(data, ModelSchema.of(model()), max_bytes=LIMIT)

    def test_a_file_longer_than_the_schema_is_refused_before_its_header_is_read(self):
        with pytest.raises(MalformedObject, match="limit"):
            read_model(b"\0" * 10_000, ModelSchema.of(model()))

    @pytest.mark.parametrize("array", [np.zeros(2), np.array([np.nan], np.float32)])
    def test_only_finite_float32_is_written_or_read(self, array):
        with pytest.raises(MalformedObject):
            write_model({"a": array})
        with pytest.raises(MalformedObject):
            read_model(write_safetensors({"a": array}))


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    | st.binary(max_size=40)
)
records = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=20,
)


class TestRecords:
    @given(records)
    def test_round_trip(self, value):
        data = encode_record(value)
        again = decode_record(data, max_bytes=len(data))
        assert again == value
        assert encode_record(again) == data
        assert dag_cbor.decode(data) == value

    def test_known_bytes_and_key_order(self):
        assert encode_record({"bb": 1, "c": (2, b"\x01"), "a": -1}) == bytes.fromhex(
            "a3" + "616120" + "616382024101" + "62626201"
        )

    @pytest.mark.parametrize(
        "value",
        [
            float("nan"),
            float("inf"),
            2**64,
            -(2**64) - 1,
            {1: 2},
            {"a": {1, 2}},
            object(),
            np.float32(1),
            "\ud800",
            {"\ud800": 1},
            CID.decode("bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"),
        ],
    )
    def test_encoder_refuses(self, value):
        with pytest.raises(MalformedObject):
            encode_record(value)

    def test_depth_is_bounded_both_ways(self):
        value = 0
        for _ in range(MAX_DEPTH):
            value = [value]
        data = encode_record(value)
        assert decode_record(data, max_bytes=LIMIT) == value
        with pytest.raises(MalformedObject, match="nested"):
            encode_record([value])
        with pytest.raises(MalformedObject, match="nested"):
            decode_record(b"\x81" + data, max_bytes=LIMIT)

    def test_a_deep_bomb_is_refused(self):
        with pytest.raises(MalformedObject, match="nested"):
            decode_record(b"\x81" * 1_000_000 + b"\x00", max_bytes=2**21)

    def test_number_of_items_is_bounded(self, monkeypatch):
        monkeypatch.setattr(serialization, "MAX_ITEMS", 10)
        data = encode_record([0] * 9)
        assert decode_record(data, max_bytes=LIMIT) == [0] * 9
        with pytest.raises(MalformedObject, match="values"):
            encode_record([0] * 10)
        with pytest.raises(MalformedObject, match="values"):
            decode_record(dag_cbor.encode([0] * 10), max_bytes=LIMIT)

    @pytest.mark.parametrize(
        "text",
        [
            "",  # nothing
            "0000",  # two values
            "1800",  # integer not minimal
            "190001",
            "5b" + "ff" * 8,  # byte string of 2**64 - 1 bytes
            "9b" + "ff" * 8,  # list of as many items
            "bb" + "ff" * 8,
            "41",
            "82" + "00",
            "a16161",
            "5f4101ff",  # indefinite lengths
            "9f00ff",
            "f97e00",  # half floats, NaN, infinity, undefined, other simple values
            "fa3f800000",
            "fb7ff8000000000000",
            "fb7ff0000000000000",
            "f7",
            "f820",
            "ff",
            "1c",
            "19",
            "c000",  # tags
            "d82a4100",
            "a2616200616100",  # keys out of order
            "a2616100616100",  # key twice
            "a10000",  # key not text
            "61ff",  # not UTF-8
            "a161ff00",
        ],
    )
    def test_decoder_refuses(self, text):
        with pytest.raises(MalformedObject):
            decode_record(bytes.fromhex(text), max_bytes=LIMIT)

    def test_decoder_refuses_more_than_max_bytes(self):
        with pytest.raises(MalformedObject, match="limit"):
            decode_record(encode_record(b"12345"), max_bytes=5)

    @given(st.binary(max_size=60))
    def test_noise_is_refused_or_canonical(self, data):
        try:
            value = decode_record(data, max_bytes=LIMIT)
        except MalformedObject:
            return
        assert encode_record(value) == data

    @given(records, st.data())
    def test_change_of_one_byte_is_refused_or_canonical(self, value, data):
        changed = bytearray(encode_record(value))
        changed[data.draw(st.integers(0, len(changed) - 1))] ^= data.draw(st.integers(1, 255))
        try:
            again = decode_record(bytes(changed), max_bytes=LIMIT)
        except MalformedObject:
            return
        assert encode_record(again) == bytes(changed)
