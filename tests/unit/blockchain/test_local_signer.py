"""A key in this process is a signer as any other."""

import pytest
from eth_account import Account

from tests.suites.signer_suite import SignerSuite

pytestmark = pytest.mark.unit


class TestLocalSigner(SignerSuite):
    @pytest.fixture
    def signer(self):
        return Account.from_key(b"\x07" * 32)

    @pytest.fixture
    def chain_id(self):
        return 31337
