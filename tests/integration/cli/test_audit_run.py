"""The audit of a run's folder: clean as it was made, and every alteration named by round, object and rule."""

import json
import shutil

import pytest

from flare_offchain.audit.object_checks import WHOLE
from flare_offchain.cli.altered import HEADER_RULE, RULES
from flare_offchain.cli.deployment_check import CODE, RECORD
from flare_offchain.cli.run_record import AGREES, COMPLETE, HEAD, READABLE
from flare_offchain.cli.stored import NAMED
from flare_offchain.core.errors import ConfigurationError

pytestmark = pytest.mark.integration


class Record:
    """The chain record of a copied run, to be altered line by line."""

    def __init__(self, run):
        self.path = run / "chain" / "chain.jsonl"
        self.lines = self.path.read_text().splitlines()

    def block(self, number):
        return json.loads(self.lines[number])

    def find(self, event_topic=None, *, transactions=False, after=0):
        """Return the first block from `after` on with a log of a topic, or with a transaction."""
        for number in range(after, len(self.lines)):
            block = self.block(number)
            if transactions and block["transactions"]:
                return number
            if any(log["topics"][0] == event_topic for log in block["logs"]):
                return number
        raise AssertionError("no such block")

    def write(self, number, block):
        self.lines[number] = json.dumps(block, sort_keys=True, separators=(",", ":"))

    def save(self):
        self.path.write_text("\n".join(self.lines) + "\n")


def topic(event):
    from flare_offchain.blockchain.artifacts import load_artifact

    topics = load_artifact("RoundCoordinator").abi.events_by_topic
    return "0x" + next(key for key, value in topics.items() if value.name == event).hex()


def flipped(text, at=-1):
    """Return hex text with one digit changed, the last by default."""
    digits = list(text)
    digits[at] = "0" if digits[at] != "0" else "1"
    return "".join(digits)


def audited(flare, run, *options):
    """Audit; return the findings."""
    done = flare.any("audit", "--run", run, "--json", *options)
    findings = done.events("finding")
    assert done.code == (1 if findings else 0)
    (summary,) = done.events("audit")
    assert summary["findings"] == len(findings)
    assert summary["clean"] is not bool(findings)
    return findings


def has(findings, number, words, rule):
    """Whether a finding names a round, an object and a rule."""
    return any(f["round"] == number and words in f["object"] and f["rule"] == rule for f in findings)


def test_clean_run__has_no_finding__and_says_what_was_checked(finished, flare):
    done = flare("audit", "--run", finished, "--json")
    (summary,) = done.events("audit")
    assert (summary["rounds"], summary["finalized"], summary["tasks"]) == (2, 2, 1)
    for rule in (
        "the claims listed are those that their transaction carried",
        "the final model is recomputed to its CID",
        WHOLE,
        AGREES,
    ):
        assert summary["checked"][rule] >= 2
    assert summary["checks"] == sum(summary["checked"].values())
    text = flare("audit", "--run", finished).out
    assert "no findings: 2 rounds of 1 tasks (2 finalized, 0 void)" in text
    assert summary["head"]["hash"] in text


def test_one_round__is_audited_alone(finished, flare):
    (summary,) = flare("audit", "--run", finished, "--round", 2, "--task", 1, "--json").events("audit")
    assert summary["rounds"] == 1
    found = audited(flare, finished, "--round", 7)
    assert has(found, 7, "round", "a round is recorded")
    assert flare.any("audit", "--run", finished, "--task", 2).code == 2


def test_audit__loads_no_training_library(finished):
    import subprocess
    import sys

    code = f"""
import sys
from flare_offchain.cli.main import run
try:
    run(["audit", "--run", {str(finished)!r}])
except SystemExit as ended:
    assert ended.code == 0
print([name for name in ("torch", "sklearn", "matplotlib", "web3") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.splitlines()[-1] == "[]"


# ------------------------------------------------------------------------------------ the chain record


@pytest.mark.parametrize("event", ["UpdateSubmitted", "SeatsClaimed", "RoundFinalized", "ProposalMade"])
@pytest.mark.parametrize("number", [1, 2])
def test_altered_log__names_round_and_event(copied, flare, event, number):
    record = Record(copied)
    at = record.find(topic(event))
    if number == 2:
        at = record.find(topic(event), after=record.find(topic("RoundFinalized")) + 1)
    block = record.block(at)
    log = next(log for log in block["logs"] if log["topics"][0] == topic(event))
    # A digit of the second word (a digest or a size), or of a claim's output, so that it is still an event.
    log["data"] = flipped(log["data"], 2 + (128 if event == "SeatsClaimed" else 127))
    record.write(at, block)
    record.save()
    found = audited(flare, copied)
    assert has(found, number, f"of block {at}: {event} of task 1", RULES["log"])


def test_altered_log__that_is_no_event_any_more__is_named_by_its_place(copied, flare):
    record = Record(copied)
    at = record.find(topic("VoteCast"))
    block = record.block(at)
    block["logs"][0]["topics"][0] = flipped(block["logs"][0]["topics"][0])
    record.write(at, block)
    record.save()
    found = audited(flare, copied)
    assert has(found, 1, f"log 0 of block {at}", RULES["log"])
    assert has(found, 1, "tally of attempt 0", "the tally counts the votes")


@pytest.mark.parametrize("after", [12, 32])
def test_altered_transaction__names_round_and_block(copied, flare, after):
    record = Record(copied)
    at = record.find(transactions=True, after=after)
    block = record.block(at)
    raw = block["transactions"][0]
    block["transactions"][0] = flipped(raw, len(raw) // 2)
    record.write(at, block)
    record.save()
    found = audited(flare, copied)
    assert has(found, 1 if after == 12 else 2, f"of block {at}", RULES["transaction"])


@pytest.mark.parametrize("field", ["timestamp", "state_root", "header", "hash", "receipts_root"])
def test_altered_header__names_round_and_block(copied, flare, field):
    record = Record(copied)
    at = record.find(topic("ProposalMade"), after=record.find(topic("RoundFinalized")) + 1)
    block = record.block(at)
    block[field] = block[field] + 1 if field == "timestamp" else flipped(block[field])
    record.write(at, block)
    record.save()
    assert has(audited(flare, copied), 2, f"block {at}", HEADER_RULE)


def test_altered_receipt__names_the_call(copied, flare):
    record = Record(copied)
    at = record.find(topic("SeatsClaimed"))
    block = record.block(at)
    block["receipts"][0][1] += 1
    record.write(at, block)
    record.save()
    assert has(audited(flare, copied), 1, "claimSeat of task 1", RULES["receipt"])


def test_removed_moved_and_repeated_lines__are_named(copied, flare):
    at = Record(copied).find(topic("VoteCast"))
    for rule, alter in (
        ("missing", lambda lines: lines.pop(at)),
        ("order", lambda lines: lines.insert(at - 1, lines.pop(at))),
        ("duplicate", lambda lines: lines.insert(at, lines[at])),
        ("line", lambda lines: lines.__setitem__(at, lines[at][:70])),
    ):
        record = Record(copied)
        kept = list(record.lines)
        alter(record.lines)
        record.save()
        found = audited(flare, copied)
        place = at - 1 if rule == "order" else at
        assert has(found, 1, f"block {place}", RULES[rule]), rule
        record.lines = kept
        record.save()
    assert not audited(flare, copied)


def test_first_line_gone__everything_that_is_left_is_still_checked(copied, flare):
    record = Record(copied)
    record.lines.pop(0)
    record.save()
    found = audited(flare, copied)
    assert has(found, None, "block 0", RULES["genesis"])


def test_cut_off_chain__is_found_by_the_run_s_own_head(copied, flare):
    record = Record(copied)
    second = record.find(topic("RoundOpened"), after=record.find(topic("RoundFinalized")) + 1)
    record.lines = record.lines[: second + 4]
    record.save()
    found = audited(flare, copied)
    assert has(found, 2, "chain record", HEAD)
    assert has(found, 2, "rounds.jsonl: line 2", AGREES)


def test_cut_off_chain__with_its_record__is_found_by_a_head_one_knows(copied, flare):
    head = flare("audit", "--run", copied, "--json").events("audit")[0]["head"]["hash"]
    assert not audited(flare, copied, "--head", head)
    record = Record(copied)
    at = record.find(topic("RoundFinalized"))
    record.lines = record.lines[: at + 1]
    record.save()
    settings = json.loads((copied / "run.json").read_text())
    settings["head"] = record.block(at)["hash"].removeprefix("0x")
    (copied / "run.json").write_text(json.dumps(settings))
    first = (copied / "rounds.jsonl").read_text().splitlines()[0]
    (copied / "rounds.jsonl").write_text(first + "\n")
    assert not audited(flare, copied)
    assert has(
        audited(flare, copied, "--head", "0x" + head), None, "chain record", "the chain has the block that was named"
    )


def test_torn_last_line__is_an_interruption__not_an_alteration(copied, flare):
    with (copied / "chain" / "chain.jsonl").open("a") as file:
        file.write('{"number":')
    assert not audited(flare, copied)


# ------------------------------------------------------------------------------------------- the store


def named_objects(flare, run):
    """Return (round, name, cid) of the objects that rounds name."""
    for number in (1, 2):
        shown = flare("show", "round", "--round", number, "--run", run, "--json")
        for update in shown.events("update"):
            yield number, f"update {update['index']}", update["cid"]
        for proposal in shown.events("proposal"):
            yield number, f"report of attempt {proposal['attempt']}", proposal["report_cid"]
            yield number, f"model of attempt {proposal['attempt']}", proposal["model_cid"]
    first = flare("show", "task", "--run", run, "--json").events("task")[0]
    yield None, "spec", first["spec_cid"]
    yield None, "genesis model", first["genesis_cid"]


def test_every_altered_object__is_named(copied, flare):
    objects = list(named_objects(flare, copied))
    assert len(objects) >= 14
    for _, _, cid in objects:
        path = next((copied / "store" / "objects").rglob(cid))
        data = path.read_bytes()
        path.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    found = audited(flare, copied)
    for number, name, cid in objects:
        assert has(found, number, f"{name} {cid}", WHOLE), name


def test_one_altered_update__is_named_and_what_follows_from_it(copied, flare):
    number, name, cid = next(named_objects(flare, copied))
    path = next((copied / "store" / "objects").rglob(cid))
    path.write_bytes(path.read_bytes() + b"\0")
    found = audited(flare, copied)
    assert has(found, number, f"{name} {cid}", WHOLE)
    assert has(found, number, name, "a used update can be had")
    assert {f["round"] for f in found} == {number}


def test_removed_objects__are_missed(copied, flare):
    objects = [item for item in named_objects(flare, copied) if not item[1].startswith("update")]
    for _, _, cid in objects:
        next((copied / "store" / "objects").rglob(cid)).unlink()
    found = audited(flare, copied)
    for number, name, cid in objects:
        assert has(found, number, cid, "an object can be had"), name


def test_unreferenced_objects__are_hashed_too(copied, flare):
    from flare_offchain.storage.cid import cid_string
    from flare_offchain.storage.local import LocalStorageProvider

    cid = cid_string(LocalStorageProvider(copied / "store").put(b"nobody names this"))
    assert not audited(flare, copied)
    next((copied / "store" / "objects").rglob(cid)).write_bytes(b"nobody names that")
    assert has(audited(flare, copied), None, f"unreferenced object {cid}", WHOLE)
    next((copied / "store" / "objects").rglob(cid)).unlink()
    (copied / "store" / "objects" / "readme").write_text("hello")
    assert has(audited(flare, copied), None, "file readme", NAMED)


# ---------------------------------------------------------------------------- the run's and other records


@pytest.mark.parametrize(
    "name", ["outcome", "updates", "accepted", "seats", "quorum", "attempts", "fines", "model_cid"]
)
def test_altered_round_result__is_found(copied, flare, name):
    lines = (copied / "rounds.jsonl").read_text().splitlines()
    record = json.loads(lines[1])
    record[name] = record[name] + 1 if isinstance(record[name], int) else record[name] + "x"
    (copied / "rounds.jsonl").write_text(lines[0] + "\n" + json.dumps(record) + "\n")
    assert has(audited(flare, copied), 2, f"rounds.jsonl: line 2: {name}", AGREES)


def test_round_results_that_are_gone__are_found(copied, flare):
    path = copied / "rounds.jsonl"
    text = path.read_text()
    path.write_text(text.splitlines()[0] + "\n")
    assert has(audited(flare, copied), 2, "rounds.jsonl", COMPLETE)
    path.unlink()
    assert has(audited(flare, copied), 1, "rounds.jsonl", COMPLETE)
    path.write_text("nonsense\n" + text.splitlines()[1] + "\n")
    assert has(audited(flare, copied), 1, "rounds.jsonl: line 1", READABLE)
    path.write_text(text + '{"cut')
    assert not audited(flare, copied)


def test_interrupted_before_the_last_result__is_no_finding(copied, flare):
    """The chain knows the round, the run's record does not yet: the process was killed between the two."""
    path = copied / "rounds.jsonl"
    path.write_text(path.read_text().splitlines()[0] + "\n")
    settings = json.loads((copied / "run.json").read_text())
    record = Record(copied)
    settings["head"] = record.block(record.find(topic("RoundFinalized")))["hash"].removeprefix("0x")
    (copied / "run.json").write_text(json.dumps(settings))
    done = flare("audit", "--run", copied, "--json")
    assert any("round 2 ended on chain" in note for note in done.record["notes"])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("chain_id", 1),
        ("coordinator", "0x" + "11" * 20),
        ("task", 2),
        ("parameters", 5),
        ("scenario.seed", 1),
        ("scenario.workers", 5),
        ("scenario.epochs", 50),
        ("scenario.aggregation", "fedavg"),
        ("scenario.probe_pool", 100),
        ("scenario.rules.round_reward", 1),
        ("scenario.rules.minimum_bond", 1),
    ],
)
def test_altered_settings__are_found(copied, flare, name, value):
    settings = json.loads((copied / "run.json").read_text())
    *path, last = name.split(".")
    place = settings
    for key in path:
        place = place[key]
    place[last] = value
    (copied / "run.json").write_text(json.dumps(settings))
    shown = name.removeprefix("scenario.")
    assert has(audited(flare, copied), None, f"run.json: {shown}", AGREES)


def test_settings_that_are_gone_or_nonsense__are_found(copied, flare):
    path = copied / "run.json"
    settings = json.loads(path.read_text())
    for text in ("nonsense", "[]", json.dumps({**settings, "version": 9}), json.dumps({**settings, "scenario": 5})):
        path.write_text(text)
        assert has(audited(flare, copied), None, "run.json", READABLE)
    path.unlink()
    assert has(audited(flare, copied), None, "run.json", READABLE)
    del settings["head"]
    path.write_text(json.dumps(settings))
    assert has(audited(flare, copied), None, "run.json", HEAD)


def test_altered_deployment_records__are_found(copied, flare):
    path = next((copied / "deployments").rglob("RoundCoordinator.json"))
    text = path.read_text()
    record = json.loads(text)
    for name in ("address", "code_hash", "abi_hash"):
        path.write_text(json.dumps({**record, name: flipped(record[name])}))
        assert has(audited(flare, copied), None, "deployments records", CODE), name
    altered = {name: flipped(record[name]) for name in ("transaction", "block_hash")}
    altered |= {"arguments": ["1", "2"], "compiler": "another"}
    path.write_text(json.dumps({**record, **altered}))
    found = audited(flare, copied)
    for name in ("transaction", "block", "arguments", "compiler"):
        assert has(found, None, f"RoundCoordinator: {name}", RECORD), name
    path.write_text(text)
    assert not audited(flare, copied)
    shutil.rmtree(copied / "deployments")
    assert has(audited(flare, copied), None, "deployments records", CODE)


def test_no_run__is_no_audit(tmp_path, flare):
    done = flare.any("audit", "--run", tmp_path)
    assert done.code == 78
    assert "holds no embedded chain" in done.err
    assert not list(tmp_path.iterdir())
    with pytest.raises(ConfigurationError):
        from flare_offchain.cli.auditing import audit_run

        audit_run(tmp_path, None, None, None)
