import hashlib

import numpy as np
import pytest

from flare_offchain.compression import rans, tables
from flare_offchain.compression.blocks import MAX_INTEGER, choose_code, decode_blocks, encode_blocks
from flare_offchain.core.errors import MalformedObject

pytestmark = pytest.mark.unit


def draw(size, scale=2.0, seed=0):
    generator = np.random.Generator(np.random.PCG64(seed))
    return np.rint(scale * generator.standard_normal(size)).astype(np.int64)


class TestTables:
    def test_each_sums_to_the_total_and_holds_small_values_and_escape(self):
        for table in range(tables.ZERO_CODE):
            counts = tables.frequencies(table)
            assert counts.sum() == tables.TOTAL
            assert (counts[[tables.LIMIT - 1, tables.LIMIT, tables.LIMIT + 1, tables.ESCAPE]] > 0).all()
            assert np.array_equal(counts[: tables.ESCAPE], counts[: tables.ESCAPE][::-1])

    def test_are_the_constants_of_the_format(self):
        digest = hashlib.sha256(
            b"".join(tables.frequencies(i).astype("<u4").tobytes() for i in range(tables.ZERO_CODE))
        )
        assert digest.hexdigest() == TABLES_DIGEST

    def test_widths_grow_in_every_shape(self):
        for shape in range(tables.SHAPES):
            zeros = [int(tables.frequencies(shape * tables.WIDTHS + w)[tables.LIMIT]) for w in range(tables.WIDTHS)]
            assert zeros == sorted(zeros, reverse=True)


TABLES_DIGEST = "2e02d66f437e395cc6cd896e6e0d2abf4cd33b246952dbc2599835fd115de019"


class TestRans:
    @pytest.mark.parametrize("size", [0, 1, 2, 1000, rans.SCALAR_SYMBOLS - 1, rans.SCALAR_SYMBOLS, 200_001])
    def test_round_trip_costs_close_to_the_entropy(self, size):
        generator = np.random.Generator(np.random.PCG64(size))
        chosen = generator.choice(np.array([3, 12, 40, 60], np.uint8), size=size)
        symbols, bits = np.empty(size, np.uint8), 0.0
        for table in (3, 12, 40, 60):
            share = tables.frequencies(table) / tables.TOTAL
            mask = chosen == table
            symbols[mask] = generator.choice(tables.SYMBOLS, size=int(mask.sum()), p=share)
            bits -= float(np.log2(share[symbols[mask]]).sum())
        data = rans.encode(symbols, chosen)
        back, used = rans.decode(data + b"tail", chosen)
        assert np.array_equal(back, symbols)
        assert used == len(data)
        assert len(data) <= bits / 8 * 1.01 + 5 * rans.lanes_for(max(size, 1))

    @pytest.mark.parametrize("size", [100, 70_000])
    def test_any_changed_bit_gives_other_symbols_or_a_refusal(self, size):
        chosen = np.full(size, 30, np.uint8)
        share = tables.frequencies(30) / tables.TOTAL
        symbols = np.random.Generator(np.random.PCG64(3)).choice(tables.SYMBOLS, size=size, p=share).astype(np.uint8)
        data = rans.encode(symbols, chosen)
        for position in range(0, len(data), max(1, len(data) // 40)):
            damaged = bytearray(data)
            damaged[position] ^= 4
            try:
                back, used = rans.decode(bytes(damaged), chosen)
            except MalformedObject:
                continue
            assert not np.array_equal(back, symbols)
            assert rans.encode(back, chosen) == bytes(damaged[:used])

    @pytest.mark.parametrize("size", [10, 70_000])
    def test_short_stream_and_impossible_state_are_refused(self, size):
        chosen = np.zeros(size, np.uint8)
        with pytest.raises(MalformedObject, match="cut short"):
            rans.decode(b"\0", chosen)
        with pytest.raises(MalformedObject, match="below its range"):
            rans.decode(bytes(4 * rans.lanes_for(size)), chosen)


class TestBlocks:
    @pytest.mark.parametrize("scale", [0.0, 0.01, 0.2, 1, 5, 30, 1000, 1e6])
    def test_round_trip_near_the_gaussian_entropy(self, scale):
        block = np.clip(draw(20_000, scale), -MAX_INTEGER, MAX_INTEGER)
        codes, payload = encode_blocks([block])
        (back,) = decode_blocks(codes, [block.size], payload)
        assert np.array_equal(back, block)
        counts = np.unique(block, return_counts=True)[1] / block.size
        ideal = block.size * (np.log2(scale * 4.133) if scale > 20 else float(-(counts * np.log2(counts)).sum()))
        assert len(payload) <= ideal / 8 * 1.04 + 60

    def test_several_blocks_share_one_stream(self):
        blocks = [draw(7, 1), np.zeros(5, np.int64), draw(300, 100), np.zeros(0, np.int64), np.array([MAX_INTEGER, -3])]
        codes, payload = encode_blocks(blocks)
        back = decode_blocks(codes, [block.size for block in blocks], payload)
        assert all(np.array_equal(left, right) for left, right in zip(back, blocks, strict=True))

    def test_outliers_are_escaped(self):
        block = draw(5000, 1)
        block[[3, 70, 4999]] = [90_000, -MAX_INTEGER, 40]
        codes, payload = encode_blocks([block])
        assert np.array_equal(decode_blocks(codes, [5000], payload)[0], block)
        assert len(payload) < 5000 * 2.3 / 8

    def test_code_does_not_depend_on_the_sign(self):
        block = draw(1000, 3)
        assert abs(choose_code(block) - choose_code(-block)) <= 1

    @pytest.mark.parametrize("tail", [b"\0", b"\x81\x00", b"\x01"])
    def test_bytes_after_the_stream_are_refused(self, tail):
        block = draw(100, 1)
        codes, payload = encode_blocks([block])
        with pytest.raises(MalformedObject):
            decode_blocks(codes, [100], payload + tail)

    def test_integer_beyond_the_limit_is_refused(self):
        codes, payload = encode_blocks([np.array([2 * MAX_INTEGER, 0, 1])])
        with pytest.raises(MalformedObject, match="exceeds"):
            decode_blocks(codes, [3], payload)
        with pytest.raises(MalformedObject, match="unknown code"):
            decode_blocks([256], [3], payload)

    def test_low_bits_cut_short_are_refused(self):
        codes, payload = encode_blocks([draw(100, 10_000)])
        with pytest.raises(MalformedObject, match="low bits"):
            decode_blocks(codes, [100], payload[:10])

    def test_overlong_escape_is_refused(self):
        codes, payload = encode_blocks([np.array([10_000_000, *draw(3000, 0.5).tolist()])])
        assert payload[-1] & 0x80 == 0
        with pytest.raises(MalformedObject, match="escaped"):
            decode_blocks(codes, [3001], payload[:-1] + bytes([payload[-1] | 0x80, 0x80, 0x80, 0x00]))
