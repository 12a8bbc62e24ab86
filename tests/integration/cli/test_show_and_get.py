"""What is shown of a finished run is what the chain and the reports say."""

import pytest

from flare_offchain.blockchain.keys import derive_account
from flare_offchain.storage.cid import cid_string, content_id

pytestmark = pytest.mark.integration


def test_show_task__lists_the_rounds(finished, flare):
    shown = flare("show", "task", "--run", finished, "--json")
    (task,), rounds = shown.events("task"), shown.events("round")
    assert task["rounds"] == len(rounds) == 2
    assert [r["round"] for r in rounds] == [1, 2]
    assert rounds[-1]["model_cid"] == task["model_cid"]
    text = flare("show", "task", "--run", finished).out
    assert all(word in text for word in ("FINALIZED", task["owner"], "expectedCommittee", "0.01 ETH"))


def test_show_round__has_everything_that_happened(finished, flare):
    shown = flare("show", "round", "--round", 1, "--run", finished, "--json")
    (record,) = shown.events("round")
    assert record["phase"] == "FINALIZED"
    assert len(shown.events("update")) == record["updates"] == 4
    assert [seat["seat"] for seat in shown.events("seat")] == list(range(record["seats"]))
    outputs = [int(seat["output_prefix"], 16) for seat in shown.events("seat")]
    assert outputs == sorted(outputs)
    assert shown.events("proposal")[-1]["outcome"] == "finalized"
    assert len(shown.events("vote")) >= record["quorum"] - 1
    assert shown.events("reward")
    phases = [phase["phase"] for phase in shown.events("phase")]
    assert phases[0] == "TRAINING"
    assert phases[-1] == "FINALIZED"
    text = flare("show", "round", "--run", finished).out
    assert all(word in text for word in ("task 1, round 2", "updates", "claims", "votes", "proposals", "rewards"))


def test_show_update__accepted_and_rejected__are_explained(finished, flare):
    updates = flare("show", "round", "--round", 1, "--run", finished, "--json").events("update")
    assert {update["accepted"] for update in updates} == {True, False}
    for update in updates:
        shown = flare("show", "update", "--round", 1, "--index", update["index"], "--run", finished, "--json").record
        assert shown["explanation"].startswith("accepted" if update["accepted"] else "rejected")
        assert (shown["score"], shown["margin"], shown["reason"]) == (
            update["score"],
            update["margin"],
            update["reason"],
        )
        assert (shown["margin"] >= 0) is update["accepted"]


def test_show_update__by_its_worker(finished, flare):
    shown = flare("show", "update", "--round", 1, "--worker", "dev:2", "--run", finished, "--json").record
    assert shown["worker"] == derive_account(0, 2).address


def test_show_worker__bond_and_rounds(finished, flare):
    shown = flare("show", "worker", "dev:1", "--run", finished, "--json")
    (worker,) = shown.events("worker")
    assert worker["registered"] and worker["enrolled"]
    assert [r["round"] for r in shown.events("worker round")] == [1, 2]
    listed = flare("worker", "rewards", "--key", "dev:1", "--run", finished, "--json").record
    assert listed["credit_wei"] == worker["credit_wei"] != "0"
    assert not listed["withdrawn"]


def test_reading__leaves_the_run_as_it_is(finished, flare):
    def contents():
        return {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}

    before = contents()
    for command in (["show", "task"], ["show", "round"], ["show", "worker", "dev:1"], ["task", "list"], ["audit"]):
        flare(*command, "--run", finished)
    assert contents() == before


@pytest.mark.parametrize("number", [0, 1, 2])
def test_model_get__is_the_object_on_chain__and_loads(finished, flare, tmp_path, number):
    safetensors = pytest.importorskip("safetensors.torch")
    out = tmp_path / "model.safetensors"
    got = flare("model", "get", "--round", number, "--out", out, "--run", finished, "--json").record
    assert cid_string(content_id(out.read_bytes())) == got["cid"]
    tensors = safetensors.load_file(out)
    assert sum(tensor.numel() for tensor in tensors.values()) == got["parameters"]
    task = flare("show", "task", "--run", finished, "--json")
    expected = task.events("round")[number - 1]["model_cid"] if number else task.events("task")[0]["genesis_cid"]
    assert got["cid"] == expected
    # Again: the same bytes are there already.
    flare("model", "get", "--round", number, "--out", out, "--run", finished)


def test_model_get__never_overwrites(finished, flare, tmp_path):
    out = tmp_path / "precious"
    out.write_text("precious")
    done = flare.any("model", "get", "--out", out, "--run", finished)
    assert (done.code, out.read_text()) == (78, "precious")
    done = flare.any("model", "get", "--out", tmp_path / "no" / "folder", "--run", finished)
    assert done.code == 75
    assert "cannot write" in done.err


def test_model_get__of_a_corrupt_object__writes_nothing(copied, flare, tmp_path):
    cid = flare("model", "get", "--out", tmp_path / "one", "--run", copied, "--json").record["cid"]
    path = next((copied / "store" / "objects").rglob(cid))
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    done = flare.any("model", "get", "--out", tmp_path / "other", "--run", copied)
    assert done.code == 65
    assert cid in done.err
    assert done.err.count("\n") == 1
    assert not (tmp_path / "other").exists()
    # What needs the report goes on without it, where that is what is corrupt.
    report = flare("show", "round", "--run", copied, "--json").events("proposal")[-1]["report_cid"]
    path = next((copied / "store" / "objects").rglob(report))
    path.write_bytes(b"")
    shown = flare("show", "update", "--index", 0, "--run", copied, "--json").record
    assert "report cannot be had" in shown["explanation"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["show", "round", "--round", 9],
        ["show", "task", "--task", 2],
        ["show", "update"],
        ["show", "update", "--index", 99],
        ["show", "update", "--index", 0, "--worker", "dev:1"],
        ["show", "update", "--worker", "dev:0"],
        ["model", "get", "--out", "x", "--round", 9],
        ["task", "fund", "--amount", 1, "--task", 5, "--key", "dev:0"],
    ],
)
def test_what_is_not_there__is_wrong_use(finished, flare, arguments):
    done = flare.any(*arguments, "--run", finished)
    assert done.code == 2
    assert done.err.count("\n") == 1
