"""Giving memory back: pages go, what they held stays."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from flare_offchain.utils.memory import release_free_memory, release_library_pages

PROGRAM = """
import ctypes, sqlite3, ssl, sys
import numpy as np
from flare_offchain.utils.memory import release_free_memory, release_library_pages

def resident():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))

def work():
    matrix = np.arange(40000.0).reshape(200, 200) / 40000
    digest = ssl.OPENSSL_VERSION, sqlite3.connect(":memory:").execute("select 6 * 7").fetchone()
    return np.linalg.norm(matrix @ matrix), digest

before = work()
held = resident()
released = release_library_pages()
now = resident()
release_free_memory()
assert released > 2**20, released
assert held - now > released / 1024 / 2, (held, now, released)
for _ in range(20):
    assert work() == before
    release_library_pages()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux accounts for pages")
def test_pages_go_and_libraries_still_work() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=Path(__file__).parents[3], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_elsewhere_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flare_offchain.utils.memory._libc", lambda: None)
    assert release_library_pages() == 0
    release_free_memory()


SETTLED = """
import gc
import web3
from flare_offchain.utils.memory import settle

class Node:
    pass

def cycle():
    one, other = Node(), Node()
    one.other, other.one = other, one

settle()
assert gc.get_freeze_count() > 50_000
before = gc.get_stats()[2]["collections"]
for _ in range(50_000):
    cycle()
assert gc.get_stats()[2]["collections"] > before
assert gc.get_count()[0] < 100_000 and len(gc.get_objects()) < 20_000, len(gc.get_objects())
"""


def test_a_settled_process_finds_its_garbage() -> None:
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", SETTLED], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
