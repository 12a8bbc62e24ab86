"""What benchmarks print, and the locks of what they install."""

import json
import math
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[3] / "scripts" / "bench"
sys.path.insert(0, str(BENCH))

from _harness import Benchmark, BenchmarkFailed, Row, Sample, cache_folder, run, table  # noqa: E402

pytestmark = pytest.mark.unit

ROW = Row(case="a case", ours=3.0, unit="gas", n=5, seeds=[7], peer=4.0, peer_name="a peer")


def lines(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_sample_has_mean_error_and_extremes():
    sample = Sample.of([1, 2, 3, 4])
    assert (sample.mean, sample.least, sample.most, sample.n) == (2.5, 1, 4, 4)
    assert sample.error == pytest.approx(math.sqrt(5 / 3 / 4))
    assert math.isnan(Sample.of([1]).error)
    with pytest.raises(BenchmarkFailed):
        Sample.of([])


def test_a_ratio_is_ours_over_the_peers():
    assert ROW.ratio == 0.75
    assert Row("x", None, "gas", 1, [], 4.0).ratio is None
    assert Row("x", 3.0, "gas", 1, []).ratio is None


def test_json_is_one_object_a_line_and_ends_with_the_summary(capsys):
    bench = Benchmark("some_bench", "What it measures.", argv=["--quick", "--json", "--seed", "7"])
    assert bench.quick
    bench.add(ROW)
    bench.note("how")
    bench.finish({"key": 1.5, "absent": None})
    start, case, note, summary = lines(capsys)
    assert start["seed"] == 7
    assert "cores" in start["machine"]
    assert case == {
        "bench": "some_bench",
        "case": "a case",
        "ours": 3.0,
        "peer": 4.0,
        "peer_name": "a peer",
        "ratio": 0.75,
        "unit": "gas",
        "n": 5,
        "seeds": [7],
    }
    assert note["note"] == "how"
    assert summary["event"] == "summary"
    assert summary["key"] == 1.5
    assert summary["absent"] is None


def test_people_get_a_table_and_the_seed(capsys):
    bench = Benchmark("some_bench", "What it measures.", argv=[])
    assert not bench.quick
    bench.add(ROW)
    bench.finish({"key": 12_345.6})
    printed = capsys.readouterr().out
    assert f"seed {bench.seed}" in printed
    assert "a peer" in printed
    assert "key = 12,346" in printed


def test_seeds_are_drawn_anew():
    drawn = {Benchmark("b", "d", argv=["--json"]).seed for _ in range(3)}
    assert len(drawn) > 1


def test_columns_are_aligned():
    head, *rest = table([ROW, Row("another, longer case", 1_000_000, "gas", 1, [])]).splitlines()
    column = head.index("unit")
    assert [line[column : column + 3] for line in rest] == ["gas", "gas"]


def test_a_benchmark_that_cannot_measure_says_why_and_fails(capsys):
    def broken():
        raise BenchmarkFailed("no compiler")

    with pytest.raises(SystemExit) as stopped:
        run(broken)
    assert stopped.value.code == 1
    assert capsys.readouterr().err == "error: no compiler\n"


def test_the_cache_is_where_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.setenv("FLARE_CACHE", str(tmp_path))
    assert cache_folder("peers", "x") == tmp_path / "bench" / "peers" / "x"
    assert (tmp_path / "bench" / "peers" / "x").is_dir()


def test_peers_are_pinned_by_hash_and_name_no_host():
    text = (BENCH / "peers" / "package-lock.json").read_text()
    lock = json.loads(text)
    wanted = json.loads((BENCH / "peers" / "package.json").read_text())["dependencies"]
    assert lock["packages"][""]["dependencies"] == wanted
    packages = {path: entry for path, entry in lock["packages"].items() if path}
    assert set(wanted) <= {path.removeprefix("node_modules/") for path in packages}
    assert all(entry["integrity"].startswith("sha512-") for entry in packages.values())
    assert "://" not in text
