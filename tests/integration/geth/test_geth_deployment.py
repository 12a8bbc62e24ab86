"""Deploying through the factory on geth, which has it from its start, and what it says of one that it would lack."""

import pytest

from flare_offchain.blockchain import factory
from flare_offchain.blockchain.deployments import open_deployment, write_deployment
from flare_offchain.blockchain.deterministic import carry_out, creation_of, plan_flare
from flare_offchain.core.errors import ConfigurationError
from tests.integration.geth.test_geth_connector import GethFixtures

pytestmark = pytest.mark.integration

TERMS = {"minimum_bond": 10**18, "unbonding_delay": 86_400}


class TestDeterministicDeploymentOnGeth(GethFixtures):
    def test_deploy__is_where_it_was_planned__and_is_found_again(self, chain, funded, tmp_path):
        account = funded[0]
        plan = plan_flare(chain, account.address, **TERMS)
        flare = carry_out(chain, account, plan, tmp_path)
        assert flare.coordinator.address == plan.contracts[-1].address
        write_deployment(tmp_path, flare.records)
        assert open_deployment(chain, tmp_path).records == flare.records
        again = plan_flare(chain, account.address, **TERMS)
        assert again.due == ()
        assert carry_out(chain, account, again, tmp_path / "none").records == flare.records
        assert chain.transaction_count(account.address) == 1
        assert "0x" + creation_of(chain, plan.contracts[-1])[0].hex() == flare.records[0].transaction

    def test_factory__that_an_endpoint_refuses__is_told_with_the_way_out(self, chain, funded, monkeypatch):
        monkeypatch.setattr(factory, "has_factory", lambda chain: False)
        with pytest.raises(ConfigurationError, match="allow-unprotected-txs"):
            factory.create_factory(chain, funded[0])
