"""Scenarios: what a person may set, and what is refused."""

import tomllib
from pathlib import Path

import pytest

from flare_offchain.core.errors import ConfigurationError
from flare_offchain.simulation.data import model_parameters, prepare
from flare_offchain.simulation.scenario import Rules, Scenario

pytestmark = pytest.mark.unit

EXAMPLES = sorted((Path(__file__).parents[3] / "scripts" / "examples").glob("*.toml"))


def test_a_scenario_round_trips():
    scenario = Scenario(workers=5, attackers=1, rules=Rules(expected_committee=3), codec_parameters={"rank": 2})
    assert Scenario.from_record(scenario.to_record()) == scenario


def scenarios():
    return [path for path in EXAMPLES if "rounds" in tomllib.loads(path.read_text())]


@pytest.mark.parametrize("path", scenarios(), ids=lambda path: path.stem)
def test_the_examples_are_scenarios(path):
    scenario = Scenario.from_record(tomllib.loads(path.read_text()))
    assert scenario.rounds >= 5


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"worker": 5}, "unknown setting 'worker'"),
        ({"workers": "five"}, "must be int"),
        ({"workers": True}, "must be int"),
        ({"workers": 1}, "2 to 4096 workers"),
        ({"rounds": 0}, "at least one round"),
        ({"workers": 3, "attackers": 4}, "attackers are 0 to 3"),
        ({"seed": -1}, "a seed is 0"),
        ({"committee_attack": True}, "must be str"),
        ({"rules": {"quorum": 3}}, "unknown setting 'quorum'"),
        ({"rules": 3}, "table of numbers"),
        ({"codec_parameters": 3}, "must be Mapping"),
        ({"learning_rate": "fast"}, "must be float"),
    ],
)
def test_what_cannot_be_is_refused_in_words(record, words):
    with pytest.raises(ConfigurationError, match=words):
        Scenario.from_record(record)


def test_data_is_divided_the_same_way_each_time():
    scenario = Scenario(workers=4, attackers=0, seed=3)
    one, two = prepare(scenario), prepare(scenario)
    assert [p.labels.tolist() for p in one.parts] == [p.labels.tolist() for p in two.parts]
    assert one.pool_object == two.pool_object
    assert sum(len(p) for p in one.parts) + len(one.pool) + len(one.test) == 1797
    assert (len(one.pool), len(one.test)) == (scenario.probe_pool, scenario.test_count)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("softmax", {"inputs": 64, "classes": 10}),
        ("mlp", {"inputs": 64, "classes": 10, "hidden": [128]}),
        ("cnn", {"height": 8, "width": 8, "classes": 10}),
        ("gru", {"inputs": 8, "classes": 10}),
        ("tcn", {"inputs": 8, "classes": 10}),
    ],
)
def test_a_model_fits_the_data(model, expected):
    scenario = Scenario(workers=4, attackers=0, model=model)
    assert model_parameters(scenario, prepare(scenario)) == expected


def test_an_unknown_model_is_refused():
    scenario = Scenario(workers=4, attackers=0, model="transformer")
    with pytest.raises(ConfigurationError, match="unknown model 'transformer'"):
        model_parameters(scenario, prepare(scenario))
