"""Key files: written once, readable by their owner, opened by the password alone, never shown."""

import json
import logging
import stat
import traceback

import pytest
from eth_account import Account

from flare_offchain.blockchain import keys
from flare_offchain.consensus.keys import VrfKey
from flare_offchain.core.errors import KeyStoreError

pytestmark = pytest.mark.unit

WORK = 2**4
PASSWORD = "correct horse — батарея"


@pytest.fixture
def account():
    return keys.derive_account(1, 2)


@pytest.fixture
def account_file(tmp_path, account):
    path = tmp_path / "keys" / "account.json"
    keys.write_account(path, account, PASSWORD, work=WORK)
    return path


@pytest.fixture
def vrf_file(tmp_path):
    path = tmp_path / "keys" / "vrf.json"
    keys.write_vrf_key(path, keys.derive_vrf_key(1, 2), PASSWORD, work=WORK)
    return path


def test_account__written_and_read__is_the_same(account_file, account):
    assert keys.read_account(account_file, PASSWORD).key == account.key
    assert keys.public_part(account_file) == account.address


def test_account__any_wallet_reads_it__and_the_other_way_round(account_file, account, tmp_path):
    assert Account.decrypt(account_file.read_text(), PASSWORD) == account.key
    foreign = tmp_path / "wallet.json"
    foreign.write_text(json.dumps(Account.encrypt(account.key, PASSWORD, kdf="pbkdf2", iterations=16)))
    assert keys.read_account(foreign, PASSWORD).address == account.address
    assert keys.public_part(foreign).lower() == account.address.lower()


def test_vrf_key__written_and_read__is_the_same(vrf_file):
    key = keys.derive_vrf_key(1, 2)
    assert keys.read_vrf_key(vrf_file, PASSWORD) == key
    assert keys.read_vrf_key(vrf_file, PASSWORD).export_secret() == key.export_secret()
    assert keys.public_part(vrf_file) == hex(key.public_x)
    assert "address" not in json.loads(vrf_file.read_text())


def test_files__are_their_owners_only(account_file, vrf_file):
    for path in (account_file, vrf_file):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(path.name for path in account_file.parent.iterdir()) == ["account.json", "vrf.json"]


def test_files__hold_no_secret_in_the_clear(account_file, vrf_file, account):
    assert account.key.hex() not in account_file.read_text()
    assert keys.derive_vrf_key(1, 2).export_secret().hex() not in vrf_file.read_text()
    assert PASSWORD not in account_file.read_text()


def test_write__over_a_key__is_refused_and_keeps_it(account_file, account):
    before = account_file.read_bytes()
    with pytest.raises(KeyStoreError, match="never overwritten"):
        keys.write_account(account_file, Account.create(), PASSWORD, work=WORK)
    assert account_file.read_bytes() == before
    assert [path.name for path in account_file.parent.iterdir()] == [account_file.name]


def test_write__where_there_is_no_folder__says_so(tmp_path, account):
    (tmp_path / "file").write_text("")
    with pytest.raises(KeyStoreError, match="cannot write"):
        keys.write_account(tmp_path / "file" / "key.json", account, PASSWORD, work=WORK)


def test_read__with_another_password__says_so_and_shows_nothing(account_file, vrf_file, caplog):
    caplog.set_level(logging.DEBUG)
    for read, path in ((keys.read_account, account_file), (keys.read_vrf_key, vrf_file)):
        with pytest.raises(KeyStoreError, match="does not open") as caught:
            read(path, "a wrong password")
        shown = "".join(traceback.format_exception(caught.value))
        assert "a wrong password" not in shown.replace('"a wrong password"', "")
    assert "wrong password" not in caplog.text


def test_read__the_other_kind__is_refused(account_file, vrf_file):
    with pytest.raises(KeyStoreError, match="VRF secret"):
        keys.read_account(vrf_file, PASSWORD)
    with pytest.raises(KeyStoreError, match="does not hold a VRF secret"):
        keys.read_vrf_key(account_file, PASSWORD)


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "nonsense", '{"version": 4}', '{"version": 3}', "[" * 9000, "9" * 70000]
)
def test_read__what_is_no_key_file__is_refused(tmp_path, text):
    path = tmp_path / "key.json"
    path.write_text(text)
    for read in (keys.read_account, keys.read_vrf_key):
        with pytest.raises(KeyStoreError):
            read(path, PASSWORD)
    if text != '{"version": 3}':
        with pytest.raises(KeyStoreError):
            keys.public_part(path)


def test_read__a_missing_file__says_how_to_make_one(tmp_path):
    with pytest.raises(KeyStoreError, match="no key file"):
        keys.read_account(tmp_path / "none.json", PASSWORD)
    with pytest.raises(KeyStoreError, match="cannot read"):
        keys.read_account(tmp_path, PASSWORD)


def alter(path, change):
    value = json.loads(path.read_text())
    change(value)
    path.unlink()
    path.write_text(json.dumps(value))


@pytest.mark.parametrize(
    "change",
    [
        lambda v: v["crypto"].update(mac="00" * 32),
        lambda v: v["crypto"].update(ciphertext="00" * 32),
        lambda v: v["crypto"].pop("cipherparams"),
        lambda v: v["crypto"].update(kdf="argon2"),
        lambda v: v["crypto"].update(kdfparams=None),
        lambda v: v["crypto"]["kdfparams"].update(n="16"),
        lambda v: v["crypto"]["kdfparams"].update(n=0),
        lambda v: v["crypto"]["kdfparams"].update(n=3),
        lambda v: v["crypto"]["kdfparams"].pop("salt"),
        lambda v: v.pop("crypto"),
    ],
)
def test_read__a_damaged_file__is_refused(account_file, change):
    alter(account_file, change)
    with pytest.raises(KeyStoreError):
        keys.read_account(account_file, PASSWORD)


@pytest.mark.parametrize("change", [{"n": 2**30}, {"r": 2**24}, {"p": 65}, {"c": 2**30}, {"dklen": 2**30}])
def test_read__a_file_that_asks_for_endless_work__is_refused(account_file, change):
    alter(account_file, lambda value: value["crypto"]["kdfparams"].update(change))
    with pytest.raises(KeyStoreError, match="more work than any wallet"):
        keys.read_account(account_file, PASSWORD)


def test_read__a_file_that_names_another_key__is_refused(account_file, vrf_file):
    alter(account_file, lambda value: value.update(address="11" * 20))
    with pytest.raises(KeyStoreError, match="another account"):
        keys.read_account(account_file, PASSWORD)
    alter(vrf_file, lambda value: value["flare"].update(public="0x1"))
    with pytest.raises(KeyStoreError, match="another VRF secret"):
        keys.read_vrf_key(vrf_file, PASSWORD)


def test_password__from_a_file_then_the_environment_then_a_prompt(tmp_path):
    file = tmp_path / "password"
    file.write_text("from file\n")
    environment = {"FLARE_PASSWORD": "from environment"}
    assert keys.find_password(file=file, environment=environment, prompt=lambda: "x") == "from file"
    assert keys.find_password(environment=environment, prompt=lambda: "x") == "from environment"
    assert keys.find_password(environment={}, prompt=lambda: "from prompt") == "from prompt"
    assert keys.find_password(variable=None, prompt=lambda: "from prompt") == "from prompt"
    file.write_text(" spaces stay \r\n")
    assert keys.find_password(file=file) == " spaces stay "


def test_password__from_the_real_environment(monkeypatch):
    monkeypatch.setenv("SOME_PASSWORD", "secret")
    assert keys.find_password(variable="SOME_PASSWORD") == "secret"


def test_password__from_nowhere_or_empty__is_refused(tmp_path):
    with pytest.raises(KeyStoreError, match="FLARE_PASSWORD"):
        keys.find_password(environment={})
    empty = tmp_path / "empty"
    empty.write_text("\n")
    for source in ({"file": empty}, {"environment": {"FLARE_PASSWORD": ""}}, {"environment": {}, "prompt": str}):
        with pytest.raises(KeyStoreError, match="1 to 4096"):
            keys.find_password(**source)
    with pytest.raises(KeyStoreError, match="cannot read"):
        keys.find_password(file=tmp_path / "none")
    empty.write_bytes(b"\xff\xfe")
    with pytest.raises(KeyStoreError, match="UTF-8"):
        keys.find_password(file=empty)
    empty.write_text("x" * 5000)
    with pytest.raises(KeyStoreError, match="1 to 4096"):
        keys.find_password(file=empty)


def test_derived__by_seed_and_index__are_all_different_and_repeat():
    addresses = {keys.derive_account(seed, index).address for seed in range(3) for index in range(3)}
    assert len(addresses) == 9
    assert keys.derive_account(0, 0).address == keys.derive_account(0, 0).address
    assert keys.derive_vrf_key(0, 0) == keys.derive_vrf_key(0, 0)
    assert keys.derive_vrf_key(0, 0) != keys.derive_vrf_key(0, 1)
    assert isinstance(keys.derive_vrf_key(0, 0), VrfKey)
    assert keys.derive_vrf_key(0, 0).export_secret() != keys.derive_account(0, 0).key
