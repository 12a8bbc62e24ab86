"""Messages between a process and its child: what is written is read, and nothing else."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from flare_offchain.core.errors import MalformedObject
from flare_offchain.utils.frames import MAX_HEADER_BYTES, Frame, read_frame, write_frame
from flare_offchain.utils.serialization import encode_record


def written(frame: Frame) -> bytes:
    stream = io.BytesIO()
    write_frame(stream, frame)
    return stream.getvalue()


def read(data: bytes) -> Frame | None:
    return read_frame(io.BufferedReader(io.BytesIO(data)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.float32).reshape(2, 3),
        np.arange(6, dtype=np.float32).reshape(2, 3).T,
        np.array(2.5),
        np.array([-1, 2**62], np.int64),
        np.zeros((0, 4), np.float32),
        np.array([np.nan, -0.0, np.inf], np.float32),
        np.arange(3, dtype=">f4"),
    ],
)
def test_arrays_come_back(array: NDArray[Any]) -> None:
    frame = read(written(Frame({"job": "train", "n": 3}, {"a": array, "b": np.ones(2)})))
    assert frame is not None
    assert frame.values == {"job": "train", "n": 3}
    found = frame.arrays["a"]
    assert found.shape == array.shape
    assert found.dtype == array.dtype.newbyteorder("=")
    assert found.tobytes() == np.ascontiguousarray(array, found.dtype).tobytes()
    assert frame.arrays["b"].tolist() == [1.0, 1.0]


def test_one_after_another_and_then_the_end() -> None:
    stream = io.BufferedReader(io.BytesIO(written(Frame({"n": 1})) + written(Frame({"n": 2}))))  # type: ignore[arg-type]
    assert [read_frame(stream).values["n"] for _ in range(2)] == [1, 2]  # type: ignore[union-attr]
    assert read_frame(stream) is None


def test_every_cut_is_noticed() -> None:
    data = written(Frame({"n": 1}, {"a": np.ones(3, np.float32)}))
    for length in range(1, len(data)):
        with pytest.raises(MalformedObject):
            read(data[:length])


def _headed(record: object) -> bytes:
    header = encode_record(record)
    return len(header).to_bytes(4, "big") + header


@pytest.mark.parametrize(
    "data",
    [
        (MAX_HEADER_BYTES + 1).to_bytes(4, "big"),
        b"\x00\x00\x00\x01\xff",
        _headed([1]),
        _headed({"values": {}, "arrays": [["a", "O", [1]]]}),
        _headed({"values": {}, "arrays": [["a", "f4", [-1]]]}),
        _headed({"values": {}, "arrays": [["a", "f4", [True]]]}),
        _headed({"values": {}, "arrays": [["a", "f4", [2**30, 2**30]]]}),
        _headed({"values": {}, "arrays": [["a", "f4", [1] * 9]]}),
    ],
)
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedObject):
        read(data)


@pytest.mark.parametrize("frame", [Frame({}, {"a": np.array(["text"])}), Frame({"a": object()})])  # type: ignore[dict-item]
def test_what_is_no_data_is_not_written(frame: Frame) -> None:
    with pytest.raises(MalformedObject):
        written(frame)
