"""What operators copy is well-formed, and agrees with the program."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from flare_offchain.core.config import FlareConfig
from flare_offchain.storage.kubo_daemon import KUBO_VERSION
from flare_offchain.workers.settings import WorkerSettings

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
UNIT = ROOT / "scripts" / "systemd" / "flare-worker@.service"


def test_compose__services_volumes_and_secrets__refer_to_each_other():
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    worker, ipfs = compose["services"]["worker"], compose["services"]["ipfs"]
    assert set(worker["depends_on"]) <= set(compose["services"])
    assert set(worker["secrets"]) == set(compose["secrets"])
    named = {v.partition(":")[0] for s in (worker, ipfs) for v in s["volumes"] if not v.startswith(".")}
    assert named == set(compose["volumes"])
    assert ipfs["image"].endswith(f":v{KUBO_VERSION}")
    # The RPC of the node controls it: it is not published.
    assert all("5001" not in port for port in ipfs["ports"])
    assert all(port.startswith("127.0.0.1:") for port in worker["ports"])
    assert (ROOT / worker["build"] / "Dockerfile").exists()


@pytest.mark.skipif(
    subprocess.run(["docker", "compose", "version"], capture_output=True).returncode != 0
    if shutil.which("docker")
    else True,
    reason="docker compose is not installed",
)
def test_compose__passes_its_own_check():
    environment = {"FLARE_RPC_URL": "http://127.0.0.1:8545", "PATH": "/usr/bin:/bin:/usr/local/bin"}
    command = ["docker", "compose", "-f", str(ROOT / "compose.yaml"), "config", "-q"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_unit__passes_systemds_own_check(tmp_path):
    # The program of the unit is not installed here: any that is will do.
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/flare/.venv/bin/flare", "/bin/true"))
    command = ["systemd-analyze", "verify", "--man=no", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert [line for line in done.stderr.splitlines() if UNIT.name.split("@")[0] in line] == []


def test_unit__starts_what_exists_and_never_restarts_what_only_a_person_can_help():
    text = UNIT.read_text()
    assert re.search(r"^ExecStart=\S+/flare worker run --config \S+$", text, re.MULTILINE)
    assert "RestartPreventExitStatus=78" in text and "Restart=on-failure" in text


def test_documented_settings__are_read(tmp_path):
    text = (ROOT / "docs" / "operator.md").read_text()
    example = re.search(r"```toml\n(.*?)```", text, re.DOTALL)[1]
    file = tmp_path / "worker.toml"
    file.write_text(example)
    settings = WorkerSettings.read(file, {"FLARE_RPC_URL": "http://127.0.0.1:8545"})
    assert settings.chain.chain_id == 11155111 and settings.status.port == 9464
    for line in example.splitlines():
        if line.startswith("# ") and "=" in line:
            assert FlareConfig(_toml(line[2:]))


def _toml(text):
    import tomllib

    return tomllib.loads(text)
