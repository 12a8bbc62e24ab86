"""Several endpoints of one chain: the next one is used when one fails, and one of another chain never."""

import logging

import pytest

from flare_offchain.blockchain.ethereum import EthereumConnector
from flare_offchain.core.errors import ChainUnavailable, ConfigurationError, WrongChain
from tests.integration.anvil.test_rpc_faults import ADDRESS, Endpoint, Fault, Raw

pytestmark = pytest.mark.integration


def stop(endpoint):
    endpoint.server.shutdown()
    endpoint.server.server_close()


@pytest.fixture
def pair():
    made = Endpoint(), Endpoint()
    for number, endpoint in enumerate(made):
        endpoint.answers["eth_getBalance"] = hex(number)
    yield made
    for endpoint in made:
        stop(endpoint)


@pytest.fixture
def chain(pair):
    with EthereumConnector([endpoint.url for endpoint in pair], chain_id=1, timeout=2) as chain:
        yield chain


def test_sound__the_first_is_used(chain, pair):
    assert [chain.balance(ADDRESS) for _ in range(3)] == [0, 0, 0]
    assert pair[1].asked == []


def test_down__the_next_is_used_and_stays_in_use(chain, pair, caplog):
    caplog.set_level(logging.WARNING)
    pair[0].answers["eth_getBalance"] = Raw(b"", 500)
    assert chain.balance(ADDRESS) == 1
    pair[0].answers["eth_getBalance"] = "0x0"
    assert chain.balance(ADDRESS) == 1
    assert pair[1].asked[0] == "eth_chainId"
    assert "is used instead of" in caplog.text


def test_down__both__says_what_the_first_said(chain, pair):
    for endpoint in pair:
        endpoint.answers["eth_getBalance"] = Raw(b"", 500)
    with pytest.raises(ChainUnavailable, match="HTTP 500"):
        chain.balance(ADDRESS)
    pair[0].answers["eth_getBalance"] = "0x0"
    assert chain.balance(ADDRESS) == 0


def test_refused__is_an_answer__and_no_other_is_asked(chain, pair):
    pair[0].answers["eth_getBalance"] = Fault("no")
    with pytest.raises(ChainUnavailable, match="no"):
        chain.balance(ADDRESS)
    assert pair[1].asked == []


def test_another_chain__is_never_used(chain, pair, caplog):
    pair[1].answers["eth_chainId"] = "0x5"
    pair[0].answers["eth_getBalance"] = Raw(b"", 500)
    with pytest.raises(ChainUnavailable, match="HTTP 500"):
        chain.balance(ADDRESS)
    assert "eth_getBalance" not in pair[1].asked
    assert "serves chain 5, not 1" in caplog.text


def test_another_chain__behind_the_same_url_after_an_outage__is_refused(pair):
    with EthereumConnector(pair[0].url, chain_id=1, timeout=2) as chain:
        pair[0].answers["eth_getBalance"] = Raw(b"", 500)
        with pytest.raises(ChainUnavailable):
            chain.balance(ADDRESS)
        pair[0].answers |= {"eth_getBalance": "0x7", "eth_chainId": "0x5"}
        with pytest.raises(WrongChain, match="serves chain 5"):
            chain.balance(ADDRESS)


def test_down__at_the_start__the_next_is_used(pair):
    stop(pair[0])
    with EthereumConnector([endpoint.url for endpoint in pair], timeout=2) as chain:
        assert chain.balance(ADDRESS) == 1


def test_none__is_refused():
    with pytest.raises(ConfigurationError, match="at least one"):
        EthereumConnector([])
