"""Content ids against what Kubo 0.43.0 gave the same bytes, and the forms of a CID."""

import dataclasses
import hashlib
import io
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from multiformats import CID

from flare_offchain.core.errors import IntegrityError, MalformedObject
from flare_offchain.core.types import ContentId
from flare_offchain.storage.cid import (
    CHUNK_BYTES,
    MAX_LINKS,
    ContentHasher,
    cid_string,
    content_id,
    content_id_of_cid,
    verify,
)

pytestmark = pytest.mark.unit

KUBO = {
    0: "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku",
    1: "bafkreicq44q6jhabh4ammlhvt4qwgvbktwg7ajde57vwcxjraunq7xodey",
    5: "bafkreidug2awh64ieva2erwkelrmfrl4lyixnyqged4axlyer3gj2nint4",
    CHUNK_BYTES - 1: "bafkreihz7lp3d3eivoumq34m4douh3ngcqzjhgrvq5gvdl7fom7rbjv7ym",
    CHUNK_BYTES: "bafkreihh6x3jbvh5djttignigxqu6hh7smgc2nxl7mdbabjrhzxj2us3kq",
    CHUNK_BYTES + 1: "bafybeihjbyxa6plbjqnluvy7oizzssnoxeia35kseyeywcr7onbdw33fvu",
    2 * CHUNK_BYTES: "bafybeig3324oqmn6ksqdfyktckdwowiducqg5u3bvb4ecyjx3bfzvhnkc4",
    2 * CHUNK_BYTES + 1: "bafybeihbh4e7lrzosl4qgo4mmvh5maa4um3hrttfokqv3orb44c2crx2ce",
    MAX_LINKS * CHUNK_BYTES - 1: "bafybeidhzmxvlwz47h4rfhx52h5wu5m52vnxvsstbu2hcipijct4xw2e4m",
    MAX_LINKS * CHUNK_BYTES: "bafybeihkolm37bnkwpiacerjubi5zy7a4y4qp7fn3jorohjpgr62bjnqcy",
    MAX_LINKS * CHUNK_BYTES + 1: "bafybeiah4wldabegjvsrffeoehk6ncy7iapdgsafvteitbfixpinrp4uce",
    175 * CHUNK_BYTES: "bafybeiad3tgxznrma67t2wkkaeqxd5qhzoxuyzc5bwwfr2rvretmr73meq",
    2 * MAX_LINKS * CHUNK_BYTES: "bafybeigmyfiycd75x6ndkzsocnxee32owf4tg5i7lov4w6eenbafybh34u",
    2 * MAX_LINKS * CHUNK_BYTES + 1: "bafybeibmhbam2lqh5de2b53si4v47lfkq3es7fx4qarhumu22pbx4i3gry",
}
"""Size to the CID of so many bytes of `pattern`, from
`ipfs add -Q --only-hash --cid-version=1 --raw-leaves --chunker=size-262144`."""

SMALL = [size for size in KUBO if size <= 2 * CHUNK_BYTES + 1]


def pattern(size: int) -> bytes:
    block = hashlib.sha256(b"flare").digest()
    return (block * (size // 32 + 1))[:size]


class TestContentId:
    @pytest.mark.parametrize("size", KUBO)
    def test_equals_kubo(self, size):
        found = content_id(pattern(size))
        assert cid_string(found) == KUBO[size]
        assert found.size == size

    @pytest.mark.parametrize("size", SMALL)
    def test_form_of_the_source_does_not_matter(self, size):
        data = pattern(size)
        expected = content_id(data)
        assert content_id(io.BytesIO(data)) == expected
        assert content_id([data[:7], b"", data[7:]]) == expected
        assert content_id(bytearray(data)) == expected
        assert content_id(memoryview(data)) == expected

    @settings(max_examples=20, deadline=None)
    @given(st.integers(0, 3 * CHUNK_BYTES), st.integers(1, 400_000))
    def test_cutting_does_not_matter(self, size, step):
        data = pattern(size)
        hasher = ContentHasher()
        for start in range(0, size, step):
            hasher.update(data[start : start + step])
        assert hasher.size == size
        assert hasher.content_id() == content_id(data)

    def test_limit_is_enforced_before_the_excess_is_hashed(self):
        assert content_id(b"12345", max_bytes=5).size == 5
        with pytest.raises(MalformedObject, match="limit of 5"):
            content_id(b"123456", max_bytes=5)

        def endless():
            while True:
                yield bytes(1000)

        with pytest.raises(MalformedObject, match="limit"):
            content_id(endless(), max_bytes=10_000)

    def test_memory_does_not_grow_with_the_object(self):
        chunk = bytes(CHUNK_BYTES)
        tracemalloc.start()
        hasher = ContentHasher()
        for _ in range(MAX_LINKS * 3):
            hasher.update(chunk)
        hasher.content_id()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 4 * CHUNK_BYTES


class TestText:
    @pytest.mark.parametrize("size", SMALL)
    def test_round_trip(self, size):
        expected = content_id(pattern(size))
        assert content_id_of_cid(KUBO[size], size) == expected

    @pytest.mark.parametrize(
        ("text", "size"),
        [
            ("", 1),
            ("bafkrei", 1),
            ("not a cid", 1),
            ("€" * 59, 1),
            ("b" + "a" * 58, 1),
            (KUBO[1].upper(), 1),
            (KUBO[1] + "a", 1),
            (" " + KUBO[1], 1),
            (KUBO[1], CHUNK_BYTES + 1),
            (KUBO[CHUNK_BYTES + 1], CHUNK_BYTES),
            (KUBO[1], -1),
            (KUBO[1], 2**32),
            ("QmRJzsvyCQyizr73Gmms8ZRtvNxmgqumxc2KUp71dfEmoj", 1),
            (str(CID.decode(KUBO[1]).set(base="base58btc")), 1),
            (str(CID("base32", 1, "raw", ("sha3-256", bytes(32)))), 1),
            (str(CID("base32", 1, "dag-cbor", ("sha2-256", bytes(32)))), 1),
            (str(CID("base32", 1, "raw", ("sha2-512", bytes(64)))), 1),
        ],
    )
    def test_everything_else_is_refused(self, text, size):
        with pytest.raises(MalformedObject):
            content_id_of_cid(text, size)

    @given(
        st.text(max_size=70) | st.text("abcdefghijklmnopqrstuvwxyz234567", min_size=58, max_size=58).map("b".__add__)
    )
    def test_noise_is_refused(self, text):
        with pytest.raises(MalformedObject):
            content_id_of_cid(text, 1)


class TestVerify:
    def test_the_object_itself_passes(self):
        data = pattern(CHUNK_BYTES + 1)
        verify(data, content_id(data))

    @pytest.mark.parametrize("size", [1, CHUNK_BYTES, CHUNK_BYTES + 1])
    def test_any_change_is_refused(self, size):
        data = pattern(size)
        expected = content_id(data)
        for changed in (data + b"\0", data[:-1], data[:-1] + bytes([data[-1] ^ 1]), b""):
            with pytest.raises(IntegrityError):
                verify(changed, expected)
        with pytest.raises(IntegrityError):
            verify(data, dataclasses.replace(expected, size=size + 1))
        with pytest.raises(IntegrityError):
            verify(data, ContentId(bytes(32), size))
