"""ABI coding, reverts, events and artifacts, without a chain."""

import dataclasses
import json
from dataclasses import dataclass

import pytest
from eth_abi import encode
from eth_utils import keccak
from hypothesis import given
from hypothesis import strategies as st

from flare_offchain.blockchain.abi import Abi, Parameters, checksum
from flare_offchain.blockchain.artifacts import ContractArtifact, compiled_names, load_artifact
from flare_offchain.blockchain.contracts import ParticipantRegistry, RoundCoordinator, structs
from flare_offchain.blockchain.events import EventDecoder, RawLog
from flare_offchain.blockchain.reverts import decode_revert
from flare_offchain.core.errors import ConfigurationError, MalformedObject, WrongChain
from flare_offchain.core.types import ContentId
from tests.suites.connector_suite import DIGEST, FOLDER, LEDGER, SUMS

pytestmark = pytest.mark.unit

HERE, OTHER = checksum("0x" + "11" * 20), checksum("0x" + "22" * 20)
WRITTEN = LEDGER.abi.events["EntryWritten"]


def written_log(**changes):
    data = encode(["(bytes32,uint64)", "bytes"], [(DIGEST, 5), b"note"])
    topics = (WRITTEN.topic, (7).to_bytes(32, "big"), bytes(12) + bytes.fromhex(OTHER[2:]))
    log = RawLog(HERE, topics, data, 3, b"\3" * 32, b"\4" * 32, 0, 1)
    return dataclasses.replace(log, **changes)


# ------------------------------------------------------------------------- addresses


def test_checksum__any_form__is_eip_55():
    assert checksum(bytes.fromhex("22" * 20)) == checksum("0x" + "22" * 20) == OTHER
    for wrong in ("", "0x", "0x" + "22" * 19, "22" * 21, b"\1" * 21, "0x" + "zz" * 20):
        with pytest.raises(ConfigurationError, match="not an address"):
            checksum(wrong)


# ---------------------------------------------------------------------------- coding


ADDRESS = st.binary(min_size=20, max_size=20).map(checksum)
ENTRY = st.fixed_dictionaries({"digest": st.binary(min_size=32, max_size=32), "size": st.integers(0, 2**64 - 1)})


@given(ENTRY, st.binary(max_size=100))
def test_call_data__encoded_and_decoded__is_the_same(entry, note):
    function = LEDGER.abi.function("write")
    assert dict(function.decode_input(function.encode([entry, note]))) == {"entry": entry, "note": note}


@given(st.lists(st.integers(0, 2**256 - 1), max_size=5))
def test_lists__encoded_and_decoded__are_the_same(values):
    function = LEDGER.abi.function("sum")
    assert function.decode_input(function.encode([values])) == {"values": tuple(values)}


@given(st.binary(max_size=300))
def test_decoding__any_bytes__gives_values_or_malformed(data):
    for function in LEDGER.abi.functions.values():
        for decode in (function.decode_output, lambda d, f=function: f.decode_input(f.selector + d)):
            try:
                decode(data)
            except MalformedObject:
                continue


@given(st.integers(0, 2**64), st.integers(0, 2**256), ADDRESS)
def test_integers__outside_their_type__are_refused(size, index, address):
    function = LEDGER.abi.function("write")
    try:
        function.encode([(DIGEST, size), b""])
        assert size < 2**64
    except ConfigurationError:
        assert size == 2**64
    assert LEDGER.abi.function("pick(address)").decode_output(bytes(12) + bytes.fromhex(address[2:])) == address


def test_structs__of_dataclasses__are_matched_by_name():
    @dataclass
    class Swapped:
        size: int
        digest: bytes

    function = LEDGER.abi.function("write")
    assert function.encode([ContentId(DIGEST, 5), b""]) == function.encode([(DIGEST, 5), b""])
    with pytest.raises(ConfigurationError, match="fields digest, size"):
        function.encode([Swapped(5, DIGEST), b""])


def test_call_data__of_another_function__is_malformed():
    with pytest.raises(MalformedObject, match="does not call"):
        LEDGER.abi.function("write").decode_input(LEDGER.abi.function("sum").encode([[1]]))


def test_arrays__fixed_and_nested__know_their_length():
    abi = Abi(
        [
            {
                "type": "function",
                "name": "f",
                "inputs": [
                    {"name": "a", "type": "uint8[2][3]"},
                    {"name": "b", "type": "tuple[2]", "components": [{"name": "x", "type": "bytes4"}]},
                    {"name": "", "type": "bool"},
                ],
                "outputs": [],
                "stateMutability": "view",
            }
        ]
    )
    function = abi.function("f")
    assert function.inputs.static_bytes == 32 * (6 + 2 + 1)
    values = ([[1, 2], [3, 4], [5, 6]], [{"x": b"abcd"}, (b"efgh",)], True)
    decoded = function.decode_input(function.encode(values))
    assert decoded == {"a": ((1, 2), (3, 4), (5, 6)), "b": ({"x": b"abcd"}, {"x": b"efgh"}), "2": True}
    assert Parameters(()).static_bytes == 0


# ---------------------------------------------------------------------------- events


def test_event__is_decoded_with_its_place():
    event = EventDecoder([LEDGER.at(HERE)]).decode(written_log())
    assert (event.name, event.block, event.log_index, event.address) == ("EntryWritten", 3, 1, HERE)
    assert event.arguments == {
        "index": 7,
        "writer": OTHER,
        "entry": {"digest": DIGEST, "size": 5},
        "note": b"note",
    }
    assert list(event.arguments) == ["index", "writer", "entry", "note"]


@pytest.mark.parametrize(
    "changes",
    [
        {"address": OTHER},
        {"topics": ()},
        {"topics": (b"\0" * 32,)},
        {"topics": (WRITTEN.topic,)},
        {"topics": (WRITTEN.topic, b"\0" * 32, b"\1" * 32)},
        {"topics": (WRITTEN.topic, b"\0" * 32, b"\0" * 31)},
        {"topics": (WRITTEN.topic, b"\0" * 32, b"\0" * 32, b"\0" * 32)},
        {"data": b""},
        {"data": written_log().data[:-1]},
        {"data": written_log().data + bytes(32)},
        {"data": written_log().data[:-1] + b"\1"},
        {"data": written_log().data.replace((5).to_bytes(32, "big"), (2**64).to_bytes(32, "big"))},
    ],
)
def test_event__that_does_not_fit_address_or_abi__is_the_wrong_chain(changes):
    with pytest.raises(WrongChain):
        EventDecoder([LEDGER.at(HERE)]).decode(written_log(**changes))


def test_events__of_other_contracts__are_passed_over_in_receipts():
    decoder = EventDecoder([LEDGER.at(HERE)])
    assert decoder.addresses == (HERE,)
    assert len(decoder.decode_known([written_log(), written_log(address=OTHER)])) == 1


@given(st.binary(max_size=200))
def test_event__any_data__is_decoded_or_refused(data):
    try:
        EventDecoder([LEDGER.at(HERE)]).decode(written_log(data=data))
    except WrongChain:
        return
    assert data == written_log(data=data).data


# --------------------------------------------------------------------------- reverts


def test_revert__an_error_with_damaged_values__still_has_its_name():
    selector = keccak(text="AmountTooLarge(uint256,uint256)")[:4]
    revert = decode_revert(selector + b"\1", LEDGER.abi, "deposit")
    assert (revert.error, revert.arguments) == ("AmountTooLarge", ())
    assert "does not decode" in revert.message


def test_revert__without_an_abi__knows_the_built_in_errors():
    data = keccak(text="Error(string)")[:4] + encode(["string"], ["why"])
    assert decode_revert(data, None, "it").message == "the contract refused it: why"
    panic = keccak(text="Panic(uint256)")[:4] + encode(["uint256"], [0x77])
    assert "panic 0x77" in decode_revert(panic, None, "it").message
    assert decode_revert(b"\1\2", None, "it").error is None


@given(st.binary(max_size=100))
def test_revert__any_data__has_a_message(data):
    assert decode_revert(data, LEDGER.abi, "it").message


# ------------------------------------------------------------------------- artifacts


def test_artifact__links_and_immutables__are_where_the_compiler_says():
    code = LEDGER.creation.linked({"Sums": OTHER})
    assert code.count(bytes.fromhex(OTHER[2:])) == 1
    assert set(LEDGER.runtime.links) == {"Sums"}
    assert len(LEDGER.runtime.immutables) >= 2
    with pytest.raises(ConfigurationError, match="library Sums"):
        LEDGER.creation.linked({})


def test_masked__immutables_may_differ_and_nothing_else():
    template = LEDGER.runtime.linked({"Sums": OTHER})
    deployed = bytearray(template)
    for span in LEDGER.runtime.immutables:
        deployed[span.start : span.start + span.length] = b"\7" * span.length
    expected, actual = LEDGER.runtime.masked(bytes(deployed), {"Sums": OTHER})
    assert expected == actual
    place = next(
        i for i in range(len(template)) if not any(s.start <= i < s.start + s.length for s in LEDGER.runtime.immutables)
    )
    deployed[place] ^= 1
    expected, actual = LEDGER.runtime.masked(bytes(deployed), {"Sums": OTHER})
    assert expected != actual
    expected, actual = LEDGER.runtime.masked(bytes(deployed[:-1]), {"Sums": OTHER})
    assert expected != actual


def test_masked__a_librarys_own_address__may_differ():
    deployed = bytearray(SUMS.runtime.template)
    deployed[1:21] = bytes.fromhex(HERE[2:])
    expected, actual = SUMS.runtime.masked(bytes(deployed), {})
    assert expected == actual


def test_artifact__malformed_or_missing__is_a_configuration_error(tmp_path):
    with pytest.raises(ConfigurationError, match="no compiled contract Nothing"):
        load_artifact("Nothing")
    good = json.loads((FOLDER / "Sums.json").read_text())
    for number, bad in enumerate(
        ["", "[]", "{}", {**good, "bytecode": "0xzz"}, {**good, "abi": 5}, {**good, "linkReferences": [1]}]
    ):
        name = f"Bad{number}"
        (tmp_path / f"{name}.json").write_text(bad if isinstance(bad, str) else json.dumps(bad))
        with pytest.raises(ConfigurationError):
            load_artifact(name, tmp_path)


def test_artifact__of_nested_code_objects__is_read_as_well():
    good = json.loads((FOLDER / "Ledger.json").read_text())
    nested = {
        "contractName": "Ledger",
        "abi": good["abi"],
        "bytecode": {"object": good["bytecode"], "linkReferences": good["linkReferences"]},
        "deployedBytecode": {
            "object": good["deployedBytecode"],
            "linkReferences": good["deployedLinkReferences"],
            "immutableReferences": good["immutableReferences"],
        },
        "compiler": {"version": "0.8.37"},
    }
    parsed = ContractArtifact.parse(nested)
    assert parsed.creation == LEDGER.creation
    assert parsed.runtime == LEDGER.runtime
    assert (parsed.compiler, parsed.abi_hash) == ("0.8.37", LEDGER.abi_hash)


def test_test_contract__is_what_its_source_compiles_to():
    import solcx

    root = FOLDER.parents[2]
    if not (root / "node_modules" / "solc").is_dir():
        pytest.skip("the compiler is not installed: npm ci")
    outputs = ["abi", "evm.bytecode", "evm.deployedBytecode"]
    request = {
        "language": "Solidity",
        "sources": {"Ledger.sol": {"content": (FOLDER / "Ledger.sol").read_text()}},
        "settings": {
            "evmVersion": "prague",
            "optimizer": {"enabled": True, "runs": 200},
            "metadata": {"bytecodeHash": "none"},
            "outputSelection": {"*": {"*": outputs}},
        },
    }
    made = solcx.compile_standard(request, solc_binary=str(root / "scripts" / "solc"))["contracts"]["Ledger.sol"]
    for name in ("Ledger", "Sums"):
        committed = json.loads((FOLDER / f"{name}.json").read_text())
        assert committed["abi"] == made[name]["abi"]
        assert committed["bytecode"] == "0x" + made[name]["evm"]["bytecode"]["object"]
        assert committed["deployedBytecode"] == "0x" + made[name]["evm"]["deployedBytecode"]["object"]


# -------------------------------------------------------------------------- wrappers


@pytest.mark.parametrize("wrapper", [RoundCoordinator, ParticipantRegistry])
def test_wrapper__has_a_method_for_every_function(wrapper):
    abi = load_artifact(wrapper.NAME).abi
    # The registry alone calls this one; it refuses everybody else.
    functions = {name for name in abi.functions if "(" not in name} - {"activeKeyChanged"}
    methods = {structs.camel(name) for name in dir(wrapper) if not name.startswith("_")}
    assert functions <= methods
    assert methods - functions <= {"NAME", "events", "createdTask", "roundClaims"}


def test_structs__equal_the_contracts_in_names_and_order():
    found = {}
    for name in compiled_names():
        artifact = load_artifact(name)
        for entry in artifact.abi_entries:
            for side in ("inputs", "outputs"):
                for item in entry.get(side, ()):
                    collect(item, found)
    for kind in (
        "TaskRules",
        "TaskView",
        "SeatView",
        "ProposalView",
        "RoundView",
        "EnrolmentView",
        "OutcomeView",
        "Participant",
    ):
        names = [structs.camel(field.name) for field in dataclasses.fields(getattr(structs, kind))]
        assert names == found[kind], kind
    assert found["ContentId"] == ["digest", "size"]


def collect(item, found):
    if "components" in item:
        name = item["internalType"].removeprefix("struct ").split(".")[-1].split("[")[0]
        found[name] = [component["name"] for component in item["components"]]
        for component in item["components"]:
            collect(component, found)


def test_struct__with_other_fields_or_values__is_the_wrong_chain():
    good = {"vrfKey": 1, "bond": 2, "withdrawableAt": 3, "number": 4}
    assert structs.read_struct(structs.Participant, good) == structs.Participant(1, 2, 3, 4)
    for bad in ({}, good | {"more": 1}, (1, 2, 3), None):
        with pytest.raises(WrongChain, match="Participant"):
            structs.read_struct(structs.Participant, bad)
    task_view = {structs.camel(field.name): 0 for field in dataclasses.fields(structs.TaskView)}
    rules = {structs.camel(field.name): 0 for field in dataclasses.fields(structs.TaskRules)}
    content = {"digest": bytes(32), "size": 0}
    whole = task_view | {"rules": rules, "spec": content, "model": content, "status": 1}
    assert structs.read_struct(structs.TaskView, whole).status is structs.TaskStatus.Open
    with pytest.raises(WrongChain, match="TaskView"):
        structs.read_struct(structs.TaskView, whole | {"status": 9})
    with pytest.raises(WrongChain):
        structs.read_struct(structs.TaskView, whole | {"spec": {"digest": b"", "size": 0}})
