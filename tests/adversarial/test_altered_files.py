"""One changed byte of any kept object is found, and named: round, object and rule."""

import pytest

from flare_offchain.federation.spec import TaskSpec
from flare_offchain.storage.cid import cid_string
from tests.factories.runs import KeptRun, run_scenario

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    run_scenario(folder)
    run = KeptRun.open(folder)
    yield folder, run
    run.close()


def named_objects(run):
    """Yield (kind, round or None, content id) of every object that the chain names, directly or through the spec."""
    history = run.history
    spec = TaskSpec.decode(run.store.get(history.spec))
    yield "spec", None, history.spec
    yield "genesis model", None, history.genesis
    yield "probe pool", None, spec.probe.pool
    for number, record in history.rounds.items():
        for update in record.updates:
            yield f"update {update.index}", number, update.content_id
        for attempt, proposal in record.proposals.items():
            yield f"report of attempt {attempt}", number, proposal.report
            yield f"model of attempt {attempt}", number, proposal.model


def stored_file(folder, content_id):
    (path,) = [p for p in (folder / "store").rglob(cid_string(content_id)) if p.stat().st_size == content_id.size]
    return path


def test_every_object_of_the_run_is_covered(kept):
    folder, run = kept
    kinds = {kind.split(" ")[0] for kind, _, _ in named_objects(run)}
    assert kinds == {"spec", "genesis", "probe", "update", "report", "model"}
    named = {cid_string(content_id) for _, _, content_id in named_objects(run)}
    stored = {p.name for p in (folder / "store").rglob("baf*") if p.stat().st_size}
    assert stored == named


@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_an_altered_object_is_found_and_named(kept, place):
    folder, run = kept
    for kind, number, content_id in named_objects(run):
        path = stored_file(folder, content_id)
        whole = path.read_bytes()
        position = {"first": 0, "middle": len(whole) // 2, "last": len(whole) - 1}[place]
        mode = path.stat().st_mode
        path.chmod(0o644)
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        try:
            findings = run.audit().findings
        finally:
            path.write_bytes(whole)
            path.chmod(mode)
        found = [f for f in findings if cid_string(content_id) in f.object and kind in f.object and f.round == number]
        assert found, f"{kind} of round {number}: {[str(f) for f in findings]}"
        assert found[0].rule == "an object hashes to its CID"
    assert run.audit().clean


@pytest.mark.parametrize(
    "kind", ["spec", "genesis model", "probe pool", "update 0", "report of attempt 0", "model of attempt 0"]
)
def test_a_lost_object_is_found_and_named(kept, kind):
    folder, run = kept
    name, number, content_id = next(o for o in named_objects(run) if o[0] == kind)
    path = stored_file(folder, content_id)
    hidden = path.with_name("hidden")
    path.rename(hidden)
    try:
        findings = run.audit().findings
    finally:
        hidden.rename(path)
    assert any(f.round == number and name in f.object for f in findings), [str(f) for f in findings]
