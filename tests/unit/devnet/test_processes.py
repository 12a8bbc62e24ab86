"""Processes are told from later ones of the same id, stopped, and killed where they do not stop."""

import subprocess
import sys
import time

import pytest

from flare_offchain.core.errors import ConfigurationError
from flare_offchain.devnet.network import DevnetState, stop_kept
from flare_offchain.devnet.processes import ProcessRecord, record, started_at, stop_all
from flare_offchain.devnet.settings import DevnetSettings

pytestmark = pytest.mark.unit

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"


@pytest.fixture
def start():
    running = []

    def run(code):
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        running.append(process)
        return process

    yield run
    for process in running:
        process.kill()
        process.wait()


def test_stop_all__willing_and_stubborn__are_gone(start):
    willing, stubborn = start("import time; time.sleep(60)"), start(STUBBORN)
    stubborn.stdout.readline()
    records = [record("willing", willing.pid), record("stubborn", stubborn.pid)]
    assert all(one.alive for one in records)
    killed = stop_all(records, seconds=1.0)
    assert [one.name for one in killed] == ["stubborn"]
    assert not any(one.alive for one in records)


def test_record__of_an_id_that_was_given_again__is_not_alive(start):
    process = start("import time; time.sleep(60)")
    assert not ProcessRecord("another", process.pid, "1").alive
    assert stop_all([ProcessRecord("another", process.pid, "1")]) == []
    assert process.poll() is None


def test_started_at__of_a_process_that_ended__is_empty(start):
    process = start("pass")
    deadline = time.monotonic() + 10
    while started_at(process.pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    # It is a zombie now: nobody has waited for it.
    assert started_at(process.pid) == ""


def test_state__written__is_read_back(tmp_path):
    state = DevnetState("http://a", "/ip4/b", "anvil", 1, (ProcessRecord("worker 1", 5, "7"),))
    state.write(tmp_path / "devnet.json")
    assert DevnetState.read(tmp_path / "devnet.json") == state


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"processes": 5}', "\x00"])
def test_state__of_something_else__is_refused(tmp_path, text):
    (tmp_path / "devnet.json").write_text(text)
    with pytest.raises(ConfigurationError, match="does not describe"):
        stop_kept(tmp_path)


def test_state__where_nothing_was_started__says_how_to(tmp_path):
    with pytest.raises(ConfigurationError, match="flare devnet up"):
        stop_kept(tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"chain": "ganache"}, "anvil or geth"),
        ({"workers": 65}, "simulate more"),
        ({"attackers": 1}, "honest"),
        ({"block_time": 0}, "block-time"),
    ],
)
def test_settings__that_make_no_local_network__are_refused(tmp_path, change, words):
    with pytest.raises(ConfigurationError, match=words):
        DevnetSettings.of(tmp_path, **change)


def test_resident__of_this_process__is_what_it_holds():
    import os

    from flare_offchain.devnet.endurance import resident

    before = resident(os.getpid())
    held = bytearray(b"x" * (64 * 2**20))
    assert 60 < resident(os.getpid()) - before < 80 and len(held) == 64 * 2**20
    assert resident(2**30) != resident(2**30)
