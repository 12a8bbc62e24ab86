"""What happens to a folder that is in use, and to a run that is killed."""

import os
import signal
import subprocess
import sys
import time

import pytest

from flare_offchain.blockchain.embedded import EthTesterConnector
from tests.integration.cli.conftest import DEMO

pytestmark = pytest.mark.integration


def test_folder_in_use__can_be_read_but_not_written(copied, flare):
    with EthTesterConnector.open(copied / "chain"):
        for command in (["deploy"], ["task", "fund", "--amount", 1, "--key", "dev:0"]):
            done = flare.any(*command, "--run", copied)
            assert done.code == 75
            assert "in use by another process" in done.err
            assert done.err.count("\n") == 1
        assert flare.any(*DEMO, "--out", copied, "--workers", 4, "--rounds", 2).code == 0
        flare("task", "list", "--run", copied)
        flare("show", "round", "--run", copied)
        flare("audit", "--run", copied)
    flare("task", "fund", "--amount", 1, "--key", "dev:0", "--run", copied)


def test_demo__killed_half_way__goes_on_to_the_same_models(finished, tmp_path, flare):
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "flare_offchain.cli", *DEMO, "--out", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(os.environ))
    record = folder / "chain" / "chain.jsonl"
    deadline = time.monotonic() + 240
    try:
        while process.poll() is None and (not record.exists() or record.read_bytes().count(b"\n") < 18):
            assert time.monotonic() < deadline, "the demo does not get on"
            time.sleep(0.01)
        assert process.poll() is None, "the demo was over before it could be killed"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not (folder / "rounds.jsonl").exists()
    # As left behind: readable, and without a finding.
    flare("task", "list", "--run", folder)
    flare("audit", "--run", folder)
    continued = flare(*DEMO, "--out", folder, "--json")
    flare("audit", "--run", folder)
    expected = flare(*DEMO, "--out", finished, "--json")
    assert [r["model_cid"] for r in continued.events("round")] == [r["model_cid"] for r in expected.events("round")]
    again = flare(*DEMO, "--out", folder, "--json")
    assert [r["model_cid"] for r in again.events("round")] == [r["model_cid"] for r in expected.events("round")]


def test_deploy__with_a_torn_record__goes_on(tmp_path, flare):
    run = ("--run", tmp_path / "net")
    flare("deploy", *run, "--accounts", 2)
    with (tmp_path / "net" / "chain" / "chain.jsonl").open("a") as file:
        file.write('{"number":2,"tim')
    flare("task", "list", *run)
    assert flare("deploy", *run, "--json").record["event"] == "found"
    flare("audit", *run)


def test_deploy__killed_before_its_records_were_written__deploys_again(tmp_path, flare):
    run = ("--run", tmp_path / "net")
    first = flare("deploy", *run, "--accounts", 2, "--json").record
    for path in (tmp_path / "net" / "deployments").rglob("*.json"):
        path.unlink()
    again = flare("deploy", *run, "--json").record
    assert again["event"] == "deployed"
    assert again["contracts"] != first["contracts"]
    flare("audit", *run)


def test_altered_chain__is_not_worked_on(copied, flare):
    path = copied / "chain" / "chain.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:20] + lines[21:]) + "\n")
    for command in (["task", "list"], ["task", "fund", "--amount", 1, "--key", "dev:0"]):
        done = flare.any(*command, "--run", copied)
        assert done.code == 78
        assert "block 20" in done.err
        assert done.err.count("\n") == 1
