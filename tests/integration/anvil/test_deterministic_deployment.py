"""Deploying through the factory: planned, repeated, killed anywhere and resumed; on anvil."""

import dataclasses
import os
import signal
from collections import Counter
from pathlib import Path

import pytest
from eth_account import Account

from flare_offchain.blockchain.create2 import create2_address
from flare_offchain.blockchain.deployments import (
    TASK_ACTIONS,
    VIEWS,
    open_deployment,
    verify_deployment,
    write_deployment,
)
from flare_offchain.blockchain.deterministic import carry_out, creation_of, plan_flare
from flare_offchain.blockchain.ethereum import EthereumConnector
from flare_offchain.blockchain.factory import FACTORY, FACTORY_CODE, FACTORY_SIGNER, create_factory, has_factory
from flare_offchain.blockchain.keys import derive_account, write_account
from flare_offchain.blockchain.rpc import Rpc
from flare_offchain.blockchain.transactions import TransactionPolicy
from flare_offchain.core.errors import ConfigurationError, InsufficientFunds, WrongChain
from tests.integration.anvil.conftest import Anvil
from tests.integration.cli.conftest import run_command

pytestmark = pytest.mark.integration

TERMS = {"minimum_bond": 10**18, "unbonding_delay": 86_400}
POLICY = TransactionPolicy(timeout=60, poll_interval=0.02)
RECORDS = 3


@pytest.fixture(scope="module", params=["factory", "bare"])
def node(request):
    """A node that has the factory from its start, and one that has not. A block a second: kills find things pending."""
    options = ["--block-time", "1"] + (["--disable-default-create2-deployer"] if request.param == "bare" else [])
    node = Anvil(*options)
    node.bare = request.param == "bare"
    node.snapshot = node.do("evm_snapshot")
    yield node
    node.stop()


@pytest.fixture
def fresh(node):
    """The node as it was at first."""
    node.do("evm_revert", node.snapshot)
    node.snapshot = node.do("evm_snapshot")
    return node


@pytest.fixture
def chain(fresh):
    with EthereumConnector(fresh.url, policy=POLICY) as chain:
        yield chain


def deploy_until(records, node, key, point, moment, number):
    """Run `flare deploy` in a process that kills itself around transaction or record `number`; return how it ended."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    ended = 1
    try:
        done = Counter()

        def around(function, name, concerns):
            def call(*arguments, **named):
                hit = point == name and concerns(arguments)
                done[name] += hit
                if hit and done[name] == number and moment == "before":
                    os.kill(os.getpid(), signal.SIGKILL)
                result = function(*arguments, **named)
                if hit and done[name] == number:
                    os.kill(os.getpid(), signal.SIGKILL)
                return result

            return call

        Rpc.request = around(Rpc.request, "send", lambda given: given[1] == "eth_sendRawTransaction")
        Path.replace = around(Path.replace, "record", lambda given: given[0].suffix == ".new")
        ended = run_command(
            *("deploy", "--rpc", node.url, "--yes", "--deployments", records, "--key", key / "account.json"),
            *("--password-file", key / "password"),
        ).code
    finally:
        os._exit(ended)


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    (folder / "password").write_text("password")
    write_account(folder / "account.json", derive_account(77, 0), "password", work=2**10)
    return folder


def points(bare):
    for number in range(1, (3 if bare else 1) + 1):
        yield from (("send", moment, number) for moment in ("before", "after"))
    yield from (("record", "before", number) for number in range(1, RECORDS + 1))


def test_kill__at_every_step__is_resumed_and_sends_nothing_twice(fresh, chain, key, tmp_path):
    address = derive_account(77, 0).address
    expected = 2 if fresh.bare else 1
    for point in points(fresh.bare):
        fresh.do("evm_revert", fresh.snapshot)
        fresh.snapshot = fresh.do("evm_snapshot")
        fresh.do("anvil_setBalance", address, hex(10**19))
        records = tmp_path / "-".join(map(str, point))
        assert deploy_until(records, fresh, key, *point) == -signal.SIGKILL, point
        assert deploy_until(records, fresh, key, "none", "", 0) == 0, point
        assert chain.transaction_count(address) == expected, point
        assert chain.transaction_count(FACTORY_SIGNER) == int(fresh.bare), point
        first = open_deployment(chain, records).records
        assert deploy_until(records, fresh, key, "none", "", 0) == 0
        assert chain.transaction_count(address) == expected
        assert open_deployment(chain, records).records == first


def test_plan__names_addresses_and_cost__and_sends_nothing(fresh, chain, tmp_path):
    account = fresh.account()
    before = chain.balance(account.address)
    plan = plan_flare(chain, account.address, **TERMS)
    assert plan.factory_present is not fresh.bare
    assert [contract.name for contract in plan.due] == ["RoundCoordinator"]
    assert (chain.transaction_count(account.address), chain.balance(account.address)) == (0, before)
    flare = carry_out(chain, account, plan, tmp_path)
    assert flare.coordinator.address == plan.contracts[-1].address
    assert 0 < before - chain.balance(account.address) <= plan.cost
    other = plan_flare(chain, account.address, **TERMS, salt=1)
    assert other.contracts[-1].address != flare.coordinator.address
    bond = plan_flare(chain, account.address, minimum_bond=1, unbonding_delay=86_400)
    assert bond.contracts[-1].address != flare.coordinator.address
    again = plan_flare(chain, account.address, **TERMS)
    assert (again.due, again.cost) == ((), 0)


def test_records__lost_or_of_an_earlier_chain__are_made_again_from_the_chain(fresh, chain, tmp_path):
    account = fresh.account()
    flare = carry_out(chain, account, plan_flare(chain, account.address, **TERMS), tmp_path / "none")
    assert [record.contract for record in flare.records] == [
        "RoundCoordinator",
        "ParticipantRegistry",
        VIEWS,
        TASK_ACTIONS,
    ]
    for _ in range(12):
        fresh.do("evm_mine")
    someone = fresh.account(0)
    plan = plan_flare(chain, someone.address, **TERMS)
    assert carry_out(chain, someone, plan, tmp_path / "none").records == flare.records
    wrong = dataclasses.replace(flare.records[0], transaction="0x" + "11" * 32)
    write_deployment(tmp_path, [wrong, *flare.records[1:]])
    assert carry_out(chain, someone, plan, tmp_path).records == flare.records
    assert creation_of(chain, plan.contracts[-1])[1] == chain.stamp(flare.records[0].block)


def test_verify__a_salt_argument_or_factory_that_does_not_make_the_address__is_the_wrong_chain(fresh, chain, tmp_path):
    account = fresh.account()
    record = carry_out(chain, account, plan_flare(chain, account.address, **TERMS), tmp_path).records[0]
    verify_deployment(chain, record)
    for changes in (
        {"salt": "0x" + "11" * 32},
        {"salt": "none"},
        {"salt": "0x00"},
        {"arguments": ("1", "86400")},
        {"arguments": ()},
        {"arguments": ("one", "86400")},
        {"factory": FACTORY_SIGNER},
        {"factory": "0x00"},
    ):
        with pytest.raises(WrongChain, match="the address of"):
            verify_deployment(chain, dataclasses.replace(record, **changes))


def test_other_code__at_the_factory_or_the_planned_address__is_refused(fresh, chain, tmp_path):
    account = fresh.account()
    plan = plan_flare(chain, account.address, **TERMS)
    fresh.do("anvil_setCode", FACTORY, "0x6001")
    with pytest.raises(WrongChain, match="other code than the deployment factory's"):
        plan_flare(chain, account.address, **TERMS)
    with pytest.raises(WrongChain, match="other code than the deployment factory's"):
        carry_out(chain, account, plan, tmp_path)
    fresh.do("anvil_setCode", FACTORY, "0x" + FACTORY_CODE.hex())
    carry_out(chain, account, plan_flare(chain, account.address, **TERMS), tmp_path)
    code = bytearray(chain.code(plan.contracts[-1].address))
    code[-60] ^= 1
    fresh.do("anvil_setCode", plan.contracts[-1].address, "0x" + code.hex())
    with pytest.raises(WrongChain, match="not what this release compiles to"):
        carry_out(chain, account, plan_flare(chain, account.address, **TERMS), tmp_path)


def test_refusals__before_anything_is_sent(fresh, chain, tmp_path):
    poor = Account.create()
    plan = plan_flare(chain, poor.address, **TERMS)
    with pytest.raises(InsufficientFunds, match="fund the account"):
        carry_out(chain, poor, plan, tmp_path)
    with pytest.raises(WrongChain, match="the plan is for chain 5"):
        carry_out(chain, poor, dataclasses.replace(plan, chain_id=5), tmp_path)
    assert has_factory(chain) is not fresh.bare
    assert chain.transaction_count(poor.address) == 0


def test_factory__created_once__and_not_at_all_where_gas_costs_more(fresh, chain):
    account = fresh.account()
    if fresh.bare:
        fresh.do("anvil_setNextBlockBaseFeePerGas", hex(200 * 10**9))
        fresh.do("evm_mine")
        with pytest.raises(ConfigurationError, match="gas costs more"):
            create_factory(chain, account)
        fresh.do("anvil_setNextBlockBaseFeePerGas", hex(10**9))
        fresh.do("evm_mine")
    for _ in range(2):
        create_factory(chain, account)
    assert chain.code(FACTORY) == FACTORY_CODE
    assert chain.transaction_count(account.address) == int(fresh.bare)


@pytest.mark.parametrize(
    ("deployer", "salt", "code", "address"),
    [
        ("0x" + "00" * 20, "00" * 32, "00", "0x4D1A2e2bB4F88F0250f26Ffff098B0b30B26BF38"),
        ("0xdeadbeef" + "00" * 16, "00" * 32, "00", "0xB928f69Bb1D91Cd65274e3c79d8986362984fDA3"),
        ("0xdeadbeef" + "00" * 16, "00" * 12 + "feed" + "00" * 18, "00", "0xD04116cDd17beBE565EB2422F2497E06cC1C9833"),
        ("0x" + "00" * 20, "00" * 32, "deadbeef", "0x70f2b2914A2a4b783FaEFb75f459A580616Fcb5e"),
        ("0x00000000000000000000000000000000deadbeef", "00" * 28 + "cafebabe", "deadbeef",
         "0x60f3f640a8508fC6a86d45DF051962668E1e8AC7"),
        ("0x" + "00" * 20, "00" * 32, "", "0xE33C0C7F7df4809055C3ebA6c09CFe4BaF1BD9e0"),
    ],
)  # fmt: skip
def test_create2_address__is_that_of_the_standard(deployer, salt, code, address):
    assert create2_address(deployer, bytes.fromhex(salt), bytes.fromhex(code)) == address
    with pytest.raises(ConfigurationError):
        create2_address(deployer, b"", bytes.fromhex(code))
