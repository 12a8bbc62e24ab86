"""Worker processes on a real chain and a real Kubo run rounds that anyone can audit, and end with the embedded bits."""

import json
import subprocess
import sys
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from flare_offchain.blockchain.keys import derive_account, derive_vrf_key
from flare_offchain.devnet.monitor import Monitor
from flare_offchain.devnet.network import Devnet, stop_kept
from flare_offchain.devnet.processes import started_at
from flare_offchain.devnet.settings import DevnetSettings
from flare_offchain.devnet.view import render
from flare_offchain.simulation.run import SimulationRun
from flare_offchain.simulation.scenario import Scenario
from flare_offchain.workers.plan import Step
from flare_offchain.workers.preflight import preflight
from flare_offchain.workers.runtime import Runtime
from flare_offchain.workers.settings import WorkerSettings
from flare_offchain.workers.worker import Worker
from tests.integration.network.conftest import require

pytestmark = pytest.mark.integration

WORKERS, ROUNDS = 3, 2
SCENARIO = {"workers": WORKERS, "rounds": ROUNDS, "model": "softmax", "aggregation": "fedavg", "epochs": 2}


@pytest.fixture(scope="module")
def embedded_models(tmp_path_factory):
    """The model CIDs of the same scenario on the embedded chain with the folder store."""
    with SimulationRun.open(Scenario(attackers=0, **SCENARIO), tmp_path_factory.mktemp("embedded")) as run:
        return [result.model_cid for result in run.rounds(lambda text: None)]


def flare(*arguments):
    command = [sys.executable, "-m", "flare_offchain.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module", params=["anvil", "geth"])
def finished(request, tmp_path_factory):
    """A network whose rounds are all over, still running, and its monitor."""
    require(request.param)
    folder = tmp_path_factory.mktemp(request.param) / "network"
    with Devnet(DevnetSettings.of(folder, chain=request.param, **SCENARIO)) as network:
        network.start()
        monitor = Monitor(network)
        for _ in range(600):
            monitor.look()
            if monitor.moment.over:
                break
            assert not network.ended_workers(), network.workers[0].log.read_text()[-2000:]
            network.connector.pause(0.25)
        yield network, monitor


def test_rounds__all_finalized__with_the_models_of_the_embedded_network(finished, embedded_models):
    _, monitor = finished
    assert [r.outcome for r in monitor.rounds] == ["FINALIZED"] * ROUNDS
    assert [r.updates for r in monitor.rounds] == [WORKERS] * ROUNDS
    assert [r.model for r in monitor.rounds] == embedded_models
    assert monitor.rounds[-1].accuracy > 0.8
    assert monitor.rounds[-1].fines == 0


def test_steps__that_one_takes_for_all__are_sent_once(finished):
    _, monitor = finished
    for worker in monitor.workers:
        worker.follow()
    taken = {}
    for worker in monitor.workers:
        for name, times in worker.steps.items():
            taken[name] = taken.get(name, 0) + times
    assert monitor.complaints() == []
    assert taken[f"{Step.SUBMIT_UPDATE}:confirmed"] == taken[f"{Step.PUBLISH_UPDATE}:done"] == WORKERS * ROUNDS
    for step in (Step.OPEN_ROUND, Step.CLOSE_TRAINING, Step.CLOSE_SORTITION, Step.PROPOSE, Step.CLOSE_VALIDATION):
        assert taken[f"{step}:confirmed"] == ROUNDS
    # Two that act in one block both pay; turns make it rare, not impossible.
    assert sum(times for name, times in taken.items() if name.endswith((":lost", ":dropped"))) <= 1


def test_audit__over_rpc_and_ipfs__has_no_finding(finished):
    network, _ = finished
    done = flare(
        *("audit", "--json", "--rpc", network.chain_daemon.url, "--ipfs", network.kubo.endpoint),
        *("--deployments", str(network.settings.deployments)),
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["clean"] is True


def test_check__of_a_worker_that_runs__passes(finished):
    network, _ = finished
    done = flare("worker", "check", "--json", "--config", str(network.workers[0].config))
    results = {r["check"]: r["result"] for r in map(json.loads, done.stdout.splitlines())}
    assert done.returncode == 0, done.stdout
    # These workers have no remote signer to try.
    assert results.pop("signer") == "skipped"
    assert set(results.values()) <= {"passed", "warning"} and results["store"] == "passed"


def test_second_process__with_the_same_folder__is_refused(finished):
    network, _ = finished
    done = flare("worker", "run", "--config", str(network.workers[0].config))
    assert done.returncode == 78
    assert "another worker runs in" in done.stderr


@pytest.mark.parametrize("role", ["worker", "keeper"])
def test_dry__without_a_key__watches_and_stops_when_told(finished, tmp_path, role):
    network, _ = finished
    config = tmp_path / "worker.toml"
    config.write_text(f"""
role = "{role}"
dry = true
address = "{network.workers[0].address}"
[chain]
rpc = ["{network.chain_daemon.url}"]
deployments = "{network.settings.deployments}"
[store]
ipfs = "{network.kubo.endpoint}"
[task]
id = 1
[status]
port = 0
""")
    command = [sys.executable, "-m", "flare_offchain.cli", "worker", "run", "--config", str(config)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    lines = []
    for line in process.stdout:
        lines.append(json.loads(line))
        if lines[-1]["message"] == "waiting":
            break
    health = json.loads(_get(lines[0]["status"] + "/health"))
    process.terminate()
    lines += [json.loads(line) for line in process.stdout]
    assert process.wait(20) == 0
    assert lines[0]["message"] == "started (dry: nothing is sent)" and lines[0]["chain"] == network.connector.chain_id
    assert lines[-1]["message"] == "stopped" and health["well"]
    assert any(line.get("reason") == "all rounds of the task are done" for line in lines)


def checked(settings, **changes):
    return {result.name: result for result in preflight(replace(settings, **changes))}


def test_preflight__whatever_is_wrong__is_found_and_hides_nothing_else(finished, tmp_path):
    network, _ = finished
    settings = WorkerSettings.read(network.workers[0].config)
    sound = checked(settings)
    assert sound.pop("signer").verdict == "skipped"
    assert {result.verdict for result in sound.values()} <= {"passed", "warning"}
    assert "chain.chain_id" in sound["chain"].detail
    wrong = checked(settings, chain=replace(settings.chain, chain_id=5))
    assert wrong["chain"].verdict == "failed" and wrong["contracts"].verdict == "skipped"
    assert wrong["keys"].verdict == wrong["disk"].verdict == "passed"
    password = tmp_path / "password"
    password.write_text("another password")
    wrong = checked(settings, keys=replace(settings.keys, password_file=password))
    assert wrong["keys"].verdict == "failed" and wrong["balance"].verdict == "skipped"
    wrong = checked(settings, store=replace(settings.store, ipfs=("http://127.0.0.1:9",)))
    assert wrong["store"].verdict == wrong["objects"].verdict == "failed" and wrong["task"].verdict == "passed"
    wrong = checked(settings, data=replace(settings.data, path=tmp_path / "none.npz"), folder=Path("/proc/none"))
    assert wrong["data"].verdict == wrong["disk"].verdict == "failed"
    other = network.workers[1].config.parent
    wrong = checked(settings, keys=replace(settings.keys, vrf=other / "vrf.json"))
    assert "another VRF key" in wrong["registration"].detail
    keeper = checked(settings, role="keeper", data=None)
    assert {keeper[name].verdict for name in ("registration", "store", "objects", "data")} == {"skipped"}


def test_runtime__of_a_worker__looks_and_has_nothing_to_do(finished, tmp_path):
    network, _ = finished
    settings = replace(WorkerSettings.read(network.workers[0].config), folder=tmp_path / "state", dry=True)
    settings = replace(settings, status=replace(settings.status, port=0))
    with Runtime(settings) as runtime:
        assert isinstance(runtime.actor, Worker) and runtime.actor.address == network.workers[0].address
        assert runtime.daemon.cycle() == settings.pace.poll
        assert runtime.actor.next_step()[1].reason == "all rounds of the task are done"
        assert b"flare_round 2.0" in _get(runtime.server.url + "/metrics")


def test_view__of_a_network__names_rounds_and_workers(finished):
    network, monitor = finished
    console = Console(width=160, record=True, file=StringIO())
    console.print(render(monitor))
    text = console.export_text()
    assert "round 2/2" in text and "FINALIZED" in text and network.chain_daemon.url in text
    assert all(files.address[:8] in text for files in network.workers)


def test_secrets__of_the_network__are_in_no_log_metric_journal_or_process_list(finished):
    network, _ = finished
    seed = network.settings.scenario.seed
    secrets = [network.settings.password_file.read_text()]
    for worker in range(WORKERS):
        secrets += [derive_account(seed, worker + 1).key.hex(), derive_vrf_key(seed, worker + 1).export_secret().hex()]
    texts = []
    for files in network.workers:
        texts.append(files.log.read_bytes())
        texts += [path.read_bytes() for path in files.config.parent.rglob("state/**/*") if path.is_file()]
        texts.append(_get(files.status + "/metrics"))
        texts.append(_get(files.status + "/health"))
    texts.append(subprocess.run(["ps", "-eo", "args"], capture_output=True).stdout)
    processes = [*network.processes.values(), network.kubo.process, network.chain_daemon.process]
    for process in processes:
        found = [Path(f"/proc/{process.pid}/{name}") for name in ("cmdline", "environ")]
        texts += [path.read_bytes() for path in found if path.exists()]
    for text in texts:
        for secret in secrets:
            bare = secret.removeprefix("0x")
            assert bare.encode() not in text.lower() and bytes.fromhex(bare) not in text
    assert any(b"step taken" in text for text in texts) and any(b"flare_gas_total" in text for text in texts)


def test_stop__of_a_kept_network__leaves_nothing(finished):
    network, _ = finished
    state = network.keep()
    assert len(state.processes) == WORKERS + 2 and all(one.alive for one in state.processes)
    running, killed = stop_kept(network.settings.folder)
    assert len(running) == WORKERS + 2 and killed == []
    assert [started_at(one.pid) for one in state.processes] == [""] * len(state.processes)
    for files in network.workers:
        assert '"stopped"' in files.log.read_text().splitlines()[-1]


def _get(url):
    import requests

    return requests.get(url, timeout=10).content
