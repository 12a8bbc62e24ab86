"""The connector for any chain, on geth, against the suite that every connector passes."""

import time

import pytest
from eth_account import Account

from flare_offchain.blockchain.ethereum import EthereumConnector
from flare_offchain.devnet.chain_daemon import fund
from tests.integration.geth.conftest import POLICY
from tests.suites.connector_suite import ConnectorSuite
from tests.suites.deployment_suite import DeploymentSuite

pytestmark = pytest.mark.integration


class GethFixtures:
    """A connector, accounts with money from geth's own developer account, and its time."""

    @pytest.fixture
    def chain(self, geth):
        with EthereumConnector(geth.url, chain_id=1337, policy=POLICY) as chain:
            yield chain

    @pytest.fixture
    def funded(self, chain):
        # New accounts for each test: what the suite says of nonces and balances starts from nothing.
        accounts = [Account.create() for _ in range(3)]
        fund(chain, {account.address: 1000 * 10**18 for account in accounts})
        return accounts

    @pytest.fixture
    def pass_time(self, chain):
        def pass_time(seconds):
            # The clock of a real client cannot be turned: seconds pass, and a block, but not hours.
            time.sleep(min(seconds, 1.1))
            fund(chain, {Account.create().address: 1})

        return pass_time


class TestEthereumConnectorOnGeth(GethFixtures, ConnectorSuite):
    pass


class TestDeploymentOnGeth(GethFixtures, DeploymentSuite):
    pass
