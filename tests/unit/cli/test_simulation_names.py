"""Whatever can be simulated can be named from the command line, and docs/commands.md says how."""

import pytest

from flare_offchain.compression.codecs import CODECS
from flare_offchain.federation.adversary import BEHAVIOURS
from flare_offchain.federation.aggregation.registry import STRATEGIES
from flare_offchain.federation.server_optimiser import SERVER_OPTIMISERS
from flare_offchain.models.architectures import ARCHITECTURES
from flare_offchain.simulation.data import ABSENT, OFF_CHAIN_ONLY, check_names
from flare_offchain.simulation.malicious_members import COMMITTEE_ATTACKS
from flare_offchain.simulation.scenario import NO_SERVER, Scenario
from tests.architecture.import_graph import ROOT

pytestmark = pytest.mark.unit

NAMES = {
    "aggregation": [name for name in STRATEGIES if name not in OFF_CHAIN_ONLY],
    "attack": [*BEHAVIOURS, ABSENT],
    "committee_attack": list(COMMITTEE_ATTACKS),
    "server": [NO_SERVER, *SERVER_OPTIMISERS],
    "codec": list(CODECS),
    "model": list(ARCHITECTURES),
}


@pytest.mark.parametrize("setting", NAMES)
def test_every_name_is_taken_and_documented(setting):
    line = next(
        line for line in (ROOT / "docs" / "commands.md").read_text().splitlines() if line.startswith(f"| `{setting}`")
    )
    for name in NAMES[setting]:
        check_names(Scenario(**{"codec_parameters": {}, setting: name}))
        assert f"`{name}`" in line, f"docs/commands.md does not name the {setting} {name}"


def test_the_peers_of_the_rule_are_all_there():
    assert set(STRATEGIES) == {
        "fedavg",
        "mutual_information",
        "median",
        "trimmed_mean",
        "geometric_median",
        "krum",
        "multi_krum",
        "bulyan",
        "centred_clipping",
        "nnm",
        "norm_clipping",
        "fltrust",
    }
