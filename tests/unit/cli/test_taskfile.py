"""`SPEC.toml`: what it makes, and that nothing mistyped passes."""

from pathlib import Path

import pytest

from flare_offchain.cli.taskfile import DEFAULT_RULES, read_rules, read_task_file
from flare_offchain.core.errors import ConfigurationError, DataError
from flare_offchain.federation.round import ProbePool
from flare_offchain.federation.spec import TaskSpec
from flare_offchain.storage.cid import content_id
from flare_offchain.utils.serialization import read_model

pytestmark = pytest.mark.unit
EXAMPLE = Path(__file__).parents[3] / "scripts" / "examples" / "digits_task.toml"
SMALL = """
[model]
name = "softmax"
parameters = { inputs = 64, classes = 10 }
"""


def written(tmp_path, text):
    path = tmp_path / "task.toml"
    path.write_text(text)
    return path


def test_example__makes_a_whole_task():
    task = read_task_file(EXAMPLE)
    assert TaskSpec.decode(task.spec.encode()) == task.spec
    weights = read_model(task.genesis)
    assert task.parameters == sum(array.size for array in weights.values()) == 9610
    assert task.spec.probe is not None
    assert content_id(task.pool) == task.spec.probe.pool
    assert len(ProbePool.decode(task.pool).labels) == 200
    assert task.budget == 10**18
    assert task.rules.round_reward == 10**16
    assert task.rules.max_rounds == 50


def test_example__again__is_the_same_objects():
    one, other = read_task_file(EXAMPLE), read_task_file(EXAMPLE)
    assert (one.genesis, one.pool, one.spec.encode()) == (other.genesis, other.pool, other.spec.encode())


def test_smallest_file__has_defaults(tmp_path):
    task = read_task_file(written(tmp_path, SMALL))
    assert task.pool is None
    assert task.spec.probe is None
    assert (task.spec.codec.name, task.spec.aggregation.name) == ("powersgd", "fedavg")
    assert task.budget == 0
    assert task.workers == 4 * DEFAULT_RULES["expected_committee"]


def test_ready_pool__is_taken_as_it_is(tmp_path):
    (tmp_path / "pool.safetensors").write_bytes(read_task_file(EXAMPLE).pool)
    path = written(tmp_path, SMALL + '[probe]\nobject = "pool.safetensors"\ncount = 50\n')
    task = read_task_file(path)
    assert task.pool == (tmp_path / "pool.safetensors").read_bytes()
    assert task.spec.probe.count == 50


def test_own_data__is_found_beside_the_file(tmp_path):
    import numpy as np

    features = np.random.Generator(np.random.PCG64(1)).random((30, 64), np.float32)
    np.savez(tmp_path / "own.npz", features=features, labels=np.arange(30) % 10)
    path = written(tmp_path, SMALL + '[probe]\ndata = "npz"\ndata_dir = "own.npz"\npool = 20\ncount = 10\n')
    assert len(ProbePool.decode(read_task_file(path).pool).labels) == 20


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"\[model\] is missing"),
        ("[model]\n", r"\[model\] is missing"),
        ("[model]\nparameters = {}\n", "needs a name"),
        ('[model]\nname = "resnet"\n', "resnet"),
        ('[model]\nname = "softmax"\nparameters = { inputs = 64 }\n', "classes"),
        ('[model]\nname = "softmax"\nparameters = 5\n', "table"),
        ('model = "softmax"\n', r"\[model\] is a table"),
        ("sed = 3\n" + SMALL, "'sed' is no setting"),
        ("seed = -1\n" + SMALL, "seed is an integer"),
        ("seed = true\n" + SMALL, "seed is an integer"),
        ("data = 3\n" + SMALL, "data is text"),
        ('budget = "lots"\n' + SMALL, "no amount"),
        ("budget = 1.5\n" + SMALL, "budget is text"),
        ("censorship_share = 2\n" + SMALL, "censorship share"),
        ("censorship_share = '1'\n" + SMALL, "is a number"),
        (SMALL + "[training]\nepoch = 3\n", "'epoch' is no setting"),
        (SMALL + "[training]\nepochs = 0\n", "epochs"),
        (SMALL + "[training]\nlearning_rate = 0\n", "learning rate"),
        (SMALL + '[codec]\nname = "zip"\n', "zip"),
        (SMALL + '[codec]\nname = "powersgd"\nparameters = { rang = 2 }\n', "rang"),
        (SMALL + '[aggregation]\nname = "vote"\n', "vote"),
        (SMALL + "[rules]\nmax_seat = 3\n", "'max_seat' is no setting"),
        (SMALL + "[rules]\nmax_seats = 2.5\n", "max_seats is an integer"),
        (SMALL + "[rules]\ninvite_only = 1\n", "true or false"),
        (SMALL + "[rules]\nround_reward = -1\n", "round_reward"),
        (SMALL + "[probe]\ncount = 5\n", "needs data"),
        (SMALL + '[probe]\ndata = "digits"\nobject = "x"\n', "either"),
        (SMALL + '[probe]\nobject = "nowhere"\n', "cannot read the probe pool"),
        (SMALL + '[probe]\ndata = "digits"\npool = 1000000\n', "pool is an integer from 1 to 1797"),
        (SMALL.replace("64", "63") + '[probe]\ndata = "digits"\n', "cannot take samples"),
        (SMALL.replace("10", "9") + '[probe]\ndata = "digits"\n', "has the label 9"),
        ("[model\n", "not valid TOML"),
    ],
)
def test_mistyped_files__are_refused_with_what_is_wrong(tmp_path, text, message):
    with pytest.raises(ConfigurationError, match=message):
        read_task_file(written(tmp_path, text))


@pytest.mark.parametrize("data", ["mnits", "mnist"])
def test_unknown_or_missing_data__is_named(tmp_path, data):
    with pytest.raises(DataError, match=rf"\[probe\].*'{data}'"):
        read_task_file(written(tmp_path, SMALL + f'[probe]\ndata = "{data}"\n'))


def test_pool_that_is_none__is_refused(tmp_path):
    (tmp_path / "x").write_bytes(b"nothing of the kind")
    with pytest.raises(ConfigurationError, match="tensor file"):
        read_task_file(written(tmp_path, SMALL + '[probe]\nobject = "x"\n'))


def test_rules__amounts_as_text_or_wei():
    rules = read_rules({"round_reward": "3 gwei", "fine_amount": 5, "invite_only": True})
    assert (rules.round_reward, rules.fine_amount, rules.invite_only) == (3 * 10**9, 5, True)
