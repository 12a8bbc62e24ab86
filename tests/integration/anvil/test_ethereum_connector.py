"""The connector for any chain, on anvil, against the suite that every connector passes."""

import pytest

from flare_offchain.blockchain.ethereum import EthereumConnector
from tests.suites.connector_suite import ConnectorSuite
from tests.suites.deployment_suite import DeploymentSuite

pytestmark = pytest.mark.integration


class TestEthereumConnector(ConnectorSuite):
    @pytest.fixture
    def chain(self, anvil):
        with EthereumConnector(anvil.url, chain_id=31337) as chain:
            yield chain

    @pytest.fixture
    def funded(self, anvil):
        return [anvil.account(), anvil.account(), anvil.account()]

    @pytest.fixture
    def pass_time(self, anvil):
        return anvil.pass_time


class TestDeploymentOnAnvil(DeploymentSuite):
    @pytest.fixture
    def chain(self, anvil):
        with EthereumConnector(anvil.url, chain_id=31337) as chain:
            yield chain

    @pytest.fixture
    def funded(self, anvil):
        return [anvil.account(), anvil.account(), anvil.account()]

    @pytest.fixture
    def pass_time(self, anvil):
        return anvil.pass_time
