"""What `flare demo` does without options can be run."""

import inspect

import pytest

from flare_offchain.cli.demo import command
from flare_offchain.simulation.data import check_names
from flare_offchain.simulation.scenario import Scenario

pytestmark = pytest.mark.unit


def test_the_defaults_are_a_scenario_and_the_same_as_a_files():
    defaults = {name: parameter.default for name, parameter in inspect.signature(command).parameters.items()}
    assert defaults.pop("attackers") is None, "30 % of the workers"
    for option in ("out", "json"):
        del defaults[option]
    scenario = Scenario(**defaults)
    check_names(scenario)
    assert scenario == Scenario()
