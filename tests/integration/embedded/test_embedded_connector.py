"""The embedded chain against the suite that every connector passes."""

import pytest

from flare_offchain.blockchain.embedded import EthTesterConnector
from tests.suites.connector_suite import ConnectorSuite
from tests.suites.deployment_suite import DeploymentSuite

pytestmark = pytest.mark.integration


class TestEthTesterConnectorInMemory(ConnectorSuite):
    @pytest.fixture
    def chain(self):
        with EthTesterConnector(seed=1, accounts=3) as chain:
            yield chain

    @pytest.fixture
    def funded(self, chain):
        return chain.accounts

    @pytest.fixture
    def pass_time(self, chain):
        return chain.advance_time


class TestEthTesterConnectorKept(TestEthTesterConnectorInMemory):
    @pytest.fixture
    def chain(self, tmp_path):
        with EthTesterConnector.open(tmp_path, seed=1, accounts=3) as chain:
            yield chain


class TestDeploymentInMemory(DeploymentSuite):
    @pytest.fixture
    def chain(self):
        with EthTesterConnector(seed=1, accounts=3) as chain:
            yield chain

    @pytest.fixture
    def funded(self, chain):
        return chain.accounts

    @pytest.fixture
    def pass_time(self, chain):
        return chain.advance_time
