"""The published vectors and altered proofs through the contract's verifier, on the embedded chain."""

import pytest

from tests.suites.ecvrf_harness import deploy_harness
from tests.suites.ecvrf_suite import EcVrfSuite

pytestmark = pytest.mark.contracts


@pytest.fixture(scope="module")
def harness():
    return deploy_harness()


class TestVerifierOnTheEmbeddedChain(EcVrfSuite):
    members, each, least = 3, 1, 250
