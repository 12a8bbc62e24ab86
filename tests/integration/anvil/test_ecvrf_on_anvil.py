"""The contract's verifier on anvil: the published vectors, and about twelve thousand altered proofs."""

import pytest
from web3 import HTTPProvider, Web3

from tests.suites.ecvrf_harness import deploy_harness
from tests.suites.ecvrf_suite import EcVrfSuite

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.fixture(scope="module")
def harness(anvil):
    return deploy_harness(Web3(HTTPProvider(anvil.url)))


class TestVerifierOnAnvil(EcVrfSuite):
    members, each, least = 32, 4, 11_900
