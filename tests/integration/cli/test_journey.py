"""The life of a deployment, a worker and a task, by the commands alone: in a folder, and on anvil."""

import json
from pathlib import Path

import pytest

from flare_offchain.blockchain.ethereum import EthereumConnector
from flare_offchain.core.errors import ConfigurationError
from flare_offchain.devnet.chain_daemon import Anvil, fund

pytestmark = pytest.mark.integration

TASK = """
budget = "0.1 ether"
workers = 6
[model]
name = "softmax"
parameters = { inputs = 64, classes = 10 }
[aggregation]
name = "fedavg"
[rules]
training_duration = 60
max_rounds = 3
round_reward = "0.01 ether"
"""
ETHER = 10**18


@pytest.fixture
def spec(tmp_path):
    path = tmp_path / "task.toml"
    path.write_text(TASK)
    return path


@pytest.fixture(scope="module")
def anvil(tmp_path_factory):
    try:
        node = Anvil(tmp_path_factory.mktemp("anvil"), block_time=0)
    except ConfigurationError as error:
        pytest.skip(str(error))
    with node:
        yield node


def test_journey__in_a_folder(tmp_path, spec, flare, password):
    run = ("--run", tmp_path / "net")
    deployed = flare("deploy", *run, "--accounts", 4, "--seed", 9, "--bond", 0.5, "--json").record
    again = flare("deploy", *run, "--json").record
    assert (deployed["event"], again["event"]) == ("deployed", "found")
    assert again["contracts"] == deployed["contracts"]
    assert again["minimum_bond_wei"] == str(ETHER // 2)

    keys = tmp_path / "keys" / "alice"
    made = flare("key", "new", "--out", keys, "--json").record
    assert flare.any("key", "new", "--out", keys).code == 78
    assert flare("key", "show", keys, "--json").record == made
    assert flare("key", "fund", keys, 2, *run, "--key", "dev:0", "--json").record["balance_wei"] == str(2 * ETHER)

    alice = (*run, "--key", keys)
    assert flare("worker", "register", *alice, "--json").record["bond_wei"] == str(ETHER // 2)
    assert flare("worker", "register", *alice, "--json").record["event"] == "already registered"

    created = flare("task", "create", spec, *run, "--key", "dev:0", "--json")
    assert created.record["event"] == "created"
    assert len(created.events("capture")) == 10
    found = flare("task", "create", spec, *run, "--key", "dev:0", "--json").record
    assert (found["event"], found["task"]) == ("found", created.record["task"])
    assert "a round takes at most" in flare("task", "create", spec, *run, "--key", "dev:0").out
    funded = flare("task", "fund", "--amount", "0.05", *run, "--key", "dev:1", "--json").record
    assert funded["budget_wei"] == str(15 * ETHER // 100)

    assert flare("task", "join", *alice, "--json").record["event"] == "enrolled"
    assert flare("task", "join", *alice, "--json").record["event"] == "already enrolled"
    (listed,) = flare("task", "list", *run, "--json").lines
    assert (listed["enrolled"], listed["status"], listed["budget_wei"]) == (1, "Open", funded["budget_wei"])
    assert flare("show", "worker", keys, *run, "--json").record["enrolled"]
    assert flare("worker", "rewards", *alice, "--withdraw", "--json").record["credit_wei"] == "0"
    assert flare.any("show", "round", *run).code == 2
    flare("model", "get", "--out", tmp_path / "genesis", *run)
    flare("audit", *run)

    assert flare("task", "leave", *alice, "--json").record["event"] == "left"
    assert flare("task", "leave", *alice, "--json").record["event"] == "not enrolled"
    assert flare.any("worker", "withdraw", *alice).code == 78
    assert flare("worker", "leave", *alice, "--json").record["event"] == "exit requested"
    assert flare("worker", "leave", *alice, "--json").record["event"] == "exit already requested"
    locked = flare.any("worker", "withdraw", *alice)
    assert locked.code == 75
    assert "locked until" in locked.err
    flare("worker", "withdraw", *alice, "--wait")
    assert flare.any("worker", "leave", *alice).code == 78

    assert flare("task", "end", *run, "--key", "dev:0", "--json").record["withdrawn_wei"] == funded["budget_wei"]
    assert flare("task", "list", *run, "--json").lines[0]["status"] == "Ended"
    flare("audit", *run)


def test_invitation(tmp_path, spec, flare):
    spec.write_text(TASK + "invite_only = true\n")
    run = ("--run", tmp_path / "net")
    flare("deploy", *run, "--accounts", 3)
    flare("worker", "register", *run, "--key", "dev:1")
    flare("task", "create", spec, *run, "--key", "dev:0")
    refused = flare.any("task", "join", *run, "--key", "dev:1")
    assert refused.code == 65
    assert "NotInvited" in refused.err
    address = flare("show", "worker", "dev:1", *run, "--json").record["worker"]
    flare("task", "invite", address, *run, "--key", "dev:0")
    flare("task", "join", *run, "--key", "dev:1")
    assert flare("task", "create", spec, *run, "--key", "dev:0", "--again", "--json").record["task"] == 2
    named = flare.any("task", "join", *run, "--key", "dev:1")
    assert named.code == 2
    assert "--task" in named.err


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ("threshold_basis_points = 4000", "thresholdBasisPoints"),
        ("max_attempts = 60\nreveal_duration = 10000", "longer than the unbonding delay"),
        ("trainer_share = 9000", "are not what the contract takes"),
    ],
)
def test_rules_that_the_contract_refuses__create_nothing(tmp_path, spec, flare, rules, words):
    spec.write_text(TASK.replace("max_rounds = 3", rules))
    run = ("--run", tmp_path / "net")
    flare("deploy", *run, "--accounts", 1)
    done = flare.any("task", "create", spec, *run, "--key", "dev:0")
    assert done.code == 78
    assert words in done.err
    assert not list((tmp_path / "net").rglob("objects/*/*"))
    assert flare("task", "list", *run).out.startswith("there is no task")


def test_an_unsafe_committee__is_created_only_on_request(tmp_path, spec, flare):
    spec.write_text(
        TASK.replace("workers = 6", "workers = 20").replace(
            "[rules]", "[rules]\nexpected_committee = 5\nthreshold_basis_points = 6000"
        )
    )
    run = ("--run", tmp_path / "net")
    flare("deploy", *run, "--accounts", 1)
    done = flare.any("task", "create", spec, *run, "--key", "dev:0")
    assert done.code == 78
    assert "20% of 20 workers acted together" in done.err
    assert "--yes-unsafe" in done.err
    assert flare("task", "list", *run).out.startswith("there is no task")
    assert not list((tmp_path / "net").rglob("objects/*/*"))
    created = flare("task", "create", spec, "--yes-unsafe", *run, "--key", "dev:0", "--json")
    assert created.record["event"] == "created"


def test_the_example_is_safe(tmp_path, flare):
    run = ("--run", tmp_path / "net")
    flare("deploy", *run, "--accounts", 1)
    example = Path(__file__).parents[3] / "scripts/examples/digits_task.toml"
    assert flare("task", "create", example, *run, "--key", "dev:0", "--json").record["event"] == "created"


def test_unknown_data__is_named(tmp_path, spec, flare):
    spec.write_text(TASK.replace("[rules]", '[probe]\ndata = "digitz"\n[rules]'))
    run = ("--run", tmp_path / "net")
    flare("deploy", *run, "--accounts", 1)
    done = flare.any("task", "create", spec, *run, "--key", "dev:0")
    assert done.code == 78
    assert "unknown data set 'digitz'; choose one of" in done.err
    for command in (["demo", "--data", "digitz", "--out", tmp_path / "run"],):
        done = flare.any(*command)
        assert done.code == 78
        assert done.err.count("\n") == 1


def test_journey__on_anvil(tmp_path, spec, flare, password, anvil):
    records = tmp_path / "deployments"
    records.mkdir()
    entry = f'kind = "rpc"\nurl = "{anvil.url}"\nchain_id = '
    (records / "networks.toml").write_text(f"[local]\n{entry}31337\n\n[wrong]\n{entry}1\n")
    network = ("--network", "local", "--deployments", records)
    store = ("--store", tmp_path / "store")
    keys = tmp_path / "keys.json"
    address = flare("key", "new", "--out", keys, "--json").record["account"]

    poor = flare.any("deploy", *network, "--key", keys)
    assert poor.code == 78
    assert address in poor.err
    wrong = flare.any("deploy", "--network", "wrong", "--deployments", records, "--key", keys)
    assert wrong.code == 78
    assert "serves chain 31337, not 1" in wrong.err
    assert flare.any("deploy", *network, "--key", "dev:0").code == 78

    chain = EthereumConnector(anvil.url)
    fund(chain, {address: 100 * ETHER})
    unasked = flare.any("deploy", *network, "--key", keys)
    assert unasked.code == 78
    assert "at most" in unasked.err and "add --yes" in unasked.err and chain.transaction_count(address) == 0
    assert flare("deploy", *network, "--key", keys, "--yes", "--json").record["event"] == "deployed"
    assert (
        flare("deploy", "--rpc", anvil.url, "--deployments", records, "--key", keys, "--json").record["event"]
        == "found"
    )
    mine = (*network, "--key", keys)
    flare("worker", "register", *mine, "--bond", 2)
    assert flare.any("task", "create", spec, *mine).code == 78
    assert flare("task", "create", spec, *mine, *store, "--json").record["event"] == "created"
    assert flare("task", "join", *mine, "--json").record["from_round"] == 1
    assert flare("task", "list", *network, "--json").record["enrolled"] == 1
    assert flare("show", "task", *network, "--json").record["model_cid"]
    flare("model", "get", "--out", tmp_path / "model", *network, *store)
    audit = flare("audit", *network, *store, "--json").events("audit")[0]
    assert audit["checked"]["the events agree with the contract's state"] >= 5
    assert flare.any("audit", *network, *store, "--head", "ab" * 32).code == 1

    path = next((tmp_path / "store" / "objects").rglob("*/*"))
    path.write_bytes(path.read_bytes() + b"x")
    spoilt = flare.any("audit", *network, *store, "--json")
    assert spoilt.code == 1
    assert any(path.name in finding["object"] for finding in spoilt.events("finding"))

    flare("worker", "leave", *mine)
    assert flare.any("worker", "withdraw", *mine).code == 75
    chain.rpc.request("evm_increaseTime", 90_000)
    chain.rpc.request("evm_mine")
    flare("worker", "withdraw", *mine)
    # A test chain that was started anew no longer holds what the records say.
    record = next(records.rglob("RoundCoordinator.json"))
    altered = json.loads(record.read_text()) | {"address": "0x" + "11" * 20}
    record.write_text(json.dumps(altered))
    lost = flare.any("task", "list", *network)
    assert lost.code == 78
    assert "Deploy again" in lost.err
    assert flare.any("deploy", *mine).code == 78
    assert flare("deploy", *mine, "--replace", "--yes", "--json").record["event"] == "found"
    # What was deployed is found at its address; another salt makes another.
    assert flare("task", "list", *network, "--json").record["task"] == 1
    assert flare.any("deploy", *mine, "--salt", 1).code == 78
    assert flare("deploy", *mine, "--salt", 1, "--replace", "--yes", "--json").record["event"] == "deployed"
    assert flare("task", "list", *network).out.startswith("there is no task")
    chain.close()


@pytest.mark.parametrize(
    "arguments",
    [
        ["deploy", "--key", "KEYS"],
        ["task", "list"],
        ["show", "task"],
        ["audit", "--store", "STORE"],
        ["worker", "rewards", "--key", "KEYS"],
        ["model", "get", "--out", "x", "--store", "STORE"],
    ],
)
def test_unreachable_endpoint__is_code_75(tmp_path, flare, arguments):
    places = {"KEYS": str(tmp_path / "keys"), "STORE": str(tmp_path / "store")}
    done = flare.any(*[places.get(a, a) for a in arguments], "--rpc", "http://127.0.0.1:9")
    assert done.code == 75
    assert "cannot reach RPC http://127.0.0.1:9" in done.err
    assert done.err.count("\n") == 1
