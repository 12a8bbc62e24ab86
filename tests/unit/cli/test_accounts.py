"""Which key a name means, and where its files are."""

from pathlib import Path

import pytest

from flare_offchain.blockchain.keys import derive_account, derive_vrf_key, write_account, write_vrf_key
from flare_offchain.cli.accounts import account_key, key_files, named_address, password_for
from flare_offchain.core.errors import ConfigurationError, KeyStoreError

pytestmark = pytest.mark.unit
PASSWORD = "correct horse"


@pytest.fixture
def keys(tmp_path):
    """A folder with both keys, cheaply encrypted, and a file with the password."""
    write_account(tmp_path / "account.json", derive_account(1, 1), PASSWORD, work=2)
    write_vrf_key(tmp_path / "vrf.json", derive_vrf_key(1, 1), PASSWORD, work=2)
    (tmp_path / "password").write_text(PASSWORD + "\n")
    return tmp_path


def test_key_files__of_a_folder_or_a_file(tmp_path):
    pair = (tmp_path / "account.json", tmp_path / "vrf.json")
    assert key_files(tmp_path) == key_files(tmp_path / "account.json") == pair
    assert key_files(tmp_path / "new") == (tmp_path / "new" / "account.json", tmp_path / "new" / "vrf.json")
    assert key_files(tmp_path / "bob.json") == (tmp_path / "bob.json", tmp_path / "bob.vrf.json")


def test_development_key__is_derived_from_the_chain_s_seed():
    key = account_key("dev:3", None, 7)
    assert key.address == derive_account(7, 3).address
    assert key.vrf_key == derive_vrf_key(7, 3)


@pytest.mark.parametrize("name", ["dev:", "dev:x", "dev:-1", "dev:1.5", "dev:²", "dev:65536"])
def test_development_key__no_such_account__is_refused(name):
    with pytest.raises(ConfigurationError, match="is no account"):
        account_key(name, None, 0)


def test_development_key__without_an_embedded_chain__is_refused():
    with pytest.raises(ConfigurationError, match="name a key file"):
        account_key("dev:0", None, None)


@pytest.mark.parametrize(("seed", "hint"), [(None, "--key FILE"), (0, "dev:N")])
def test_account_key__without_a_name__says_how(seed, hint):
    with pytest.raises(ConfigurationError, match=hint):
        account_key(None, None, seed)


def test_file_key__address_needs_no_password__and_the_keys_do(keys):
    key = account_key(str(keys), keys / "password", None)
    assert key.address == derive_account(1, 1).address
    assert key.account.address == key.address
    assert key.vrf_key == derive_vrf_key(1, 1)


def test_file_key__that_is_not_there__says_so(tmp_path):
    with pytest.raises(KeyStoreError, match="no key file"):
        _ = account_key(str(tmp_path / "nobody"), None, None).address


def test_named_address__every_form(keys):
    address = derive_account(1, 1).address
    for name in (address, address.lower(), str(keys), str(keys / "account.json")):
        assert named_address(name) == address
    assert named_address("dev:1", 1) == address


@pytest.mark.parametrize("name", ["0x", "0x12", "0x" + "g" * 40])
def test_named_address__mistyped__is_refused(name):
    with pytest.raises(ConfigurationError, match="is not an address"):
        named_address(name)


def test_named_address__wrong_case__is_refused():
    address = derive_account(1, 1).address
    with pytest.raises(ConfigurationError, match="is not an address"):
        named_address("0x" + address[2:].swapcase())


def test_password__from_a_file_before_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("FLARE_PASSWORD", "other")
    (tmp_path / "p").write_text("one\n")
    assert password_for(tmp_path / "p", "?") == "one"
    assert password_for(None, "?") == "other"


def test_password__nowhere_and_no_terminal__says_how(monkeypatch):
    monkeypatch.delenv("FLARE_PASSWORD", raising=False)
    with pytest.raises(KeyStoreError, match="no password"):
        password_for(None, "?")
    with pytest.raises(KeyStoreError, match="cannot read"):
        password_for(Path("/nonexistent/password"), "?")
