"""From the command line: a torch module of one's own, sequence models, FedProx and server optimisers."""

import pytest

from flare_offchain.models import own
from flare_offchain.simulation.run import SimulationRun
from flare_offchain.simulation.scenario import Scenario

pytestmark = pytest.mark.integration

NET = "net=tests.factories.nets:NormedNet"
SCENARIO = """
workers = 4
rounds = 2
attackers = 1
attack = "sign_flip"
model = "net"
model_parameters = { width = 24 }
epochs = 3
proximal = 0.01
server = "fedavgm"
server_parameters = { learning_rate = 1.0, momentum = 0.3 }
"""
TASK = """
[model]
name = "net"
parameters = { width = 8 }
[training]
proximal = 0.1
[server]
name = "fedadam"
parameters = { learning_rate = 0.05 }
[aggregation]
name = "mutual_information"
[probe]
data = "digits"
pool = 50
count = 20
"""


@pytest.fixture(autouse=True)
def nothing_offered(monkeypatch):
    monkeypatch.setattr(own, "_offered", {})


def test_a_module_of_ones_own_trains_and_audits_where_it_is_offered(flare, tmp_path, monkeypatch):
    (tmp_path / "net.toml").write_text(SCENARIO)
    folder = tmp_path / "run"
    refused = flare.any("simulate", tmp_path / "net.toml", "--out", folder)
    assert refused.code == 78 and "--module" in refused.err
    assert not folder.exists()
    done = flare("--module", NET, "simulate", tmp_path / "net.toml", "--out", folder, "--json")
    assert done.record["rounds_finalized"] == 2
    assert done.record["accuracy"] > 0.6
    monkeypatch.setattr(own, "_offered", {})
    unknown = flare.any("audit", "--run", folder)
    assert unknown.code == 78 and "--module net" in unknown.err
    monkeypatch.setenv("FLARE_MODULES", NET)
    audited = flare("audit", "--run", folder, "--json").events("audit")[0]
    assert audited["clean"] and audited["finalized"] == 2


def test_a_task_may_name_a_module_and_a_server_optimiser(flare, tmp_path):
    (tmp_path / "task.toml").write_text(TASK)
    run = tmp_path / "net"
    flare("deploy", "--run", run, "--key", "dev:0")
    create = ("task", "create", tmp_path / "task.toml", "--run", run, "--key", "dev:0", "--yes-unsafe", "--json")
    refused = flare.any(*create)
    assert refused.code == 78 and "--module net" in refused.err
    created = flare("--module", NET, *create)
    assert created.record["task"] == 1
    (tmp_path / "task.toml").write_text(TASK.replace("fedadam", "adagrad"))
    refused = flare.any("--module", NET, *create)
    assert refused.code == 78 and "fedavgm, fedadam" in refused.err


@pytest.mark.parametrize("model", ["gru", "tcn"])
def test_sequence_models_run_in_a_network(tmp_path, model):
    scenario = Scenario(workers=3, rounds=1, attackers=0, model=model, epochs=1, proximal=0.1)
    with SimulationRun.open(scenario, tmp_path / "run") as run:
        assert [r.outcome for r in run.rounds(lambda _: None)] == ["FINALIZED"]


def test_a_device_that_is_not_there_is_refused_in_words(flare, tmp_path):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    refused = flare.any("demo", "--device", "cuda", "--rounds", "1", "--out", tmp_path / "run")
    assert refused.code == 78 and "no CUDA device" in refused.err
    refused = flare.any("demo", "--device", "gpu", "--rounds", "1", "--out", tmp_path / "other")
    assert refused.code == 78 and "auto, cpu or cuda" in refused.err
