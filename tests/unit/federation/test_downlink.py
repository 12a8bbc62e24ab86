"""The newest model from an older one and the updates in between, or whole where that fails."""

from dataclasses import replace

import numpy as np
import pytest

from flare_offchain.compression.codecs import codec_from_spec
from flare_offchain.core.errors import ObjectNotFound, StorageUnavailable
from flare_offchain.core.phases import Phase
from flare_offchain.core.records import ProposalRecord, RoundHistory, SeedRecord, TaskHistory, UpdateRecord
from flare_offchain.core.tensors import ModelSchema
from flare_offchain.core.types import Address
from flare_offchain.federation.downlink import newest_model
from flare_offchain.federation.gather import TaskObjects, round_inputs
from flare_offchain.federation.report import Report
from flare_offchain.federation.round import aggregate_round
from flare_offchain.federation.spec import Named, TaskSpec, TrainingSettings
from flare_offchain.federation.update import TaskIdentity, update_context
from flare_offchain.models import initial_weights
from flare_offchain.storage.memory import InMemoryStorageProvider
from flare_offchain.utils.serialization import read_model, write_model

pytestmark = pytest.mark.unit

OWNER = Address("0x" + "c" * 40)
TASK = TaskIdentity(1, OWNER, 1)
MODEL = Named("mlp", {"inputs": 64, "hidden": [128], "classes": 10})
WORKERS, ROUNDS = 6, 3


class CountingStore(InMemoryStorageProvider):
    """Remembers what was read."""

    def __init__(self):
        super().__init__()
        self.read = []

    def get(self, content_id, *, max_bytes=None):
        data = super().get(content_id, max_bytes=max_bytes)
        self.read.append((content_id, len(data)))
        return data


def recorded(codec="powersgd", rule="fedavg"):
    """Return the history of a task of three finalized rounds, with a void one among them, and the store."""
    store = CountingStore()
    spec = TaskSpec(MODEL, TrainingSettings(), Named(codec), Named(rule), None, censorship_share=0.3)
    weights = initial_weights(MODEL.name, MODEL.parameters, 0)
    base_id = store.put(write_model(weights))
    task = TaskHistory(1, OWNER, store.put(spec.encode()), base_id, {"sampleCap": 100}, 0)
    generator = np.random.Generator(np.random.PCG64(1))
    schema = ModelSchema.of(weights)
    for number in range(1, ROUNDS + 2):
        task.rounds[number] = found = RoundHistory(number, WORKERS, base_id.digest, 0, 0)
        if number == 2:
            continue
        found.seed = SeedRecord(bytes(32), bytes(32), 0, bytes([number]) * 32, 0, 0)
        for index in range(WORKERS):
            worker = Address("0x" + f"{index + 1:x}" * 40)
            delta = {
                name: (0.01 * generator.standard_normal(array.shape)).astype(np.float32)
                for name, array in weights.items()
            }
            data = (
                codec_from_spec(codec, {})
                .encode(delta, schema, update_context(TASK, number, worker, base_id.digest))
                .data
            )
            found.updates.append(UpdateRecord(index, worker, store.put(data), 10 + index, 0))
        result = aggregate_round(round_inputs(TASK, task, found, TaskObjects(store)))
        base_id = store.put(result.model)
        found.proposals[0] = ProposalRecord(
            OWNER, 0, base_id, store.put(result.report), result.accepted_bitmap, result.accepted_weight, bytes(32), 0
        )
        found.final_attempt, found.final_model = 0, base_id
    store.read.clear()
    return task, store


def worker_objects(task, store, model=None):
    """Return the objects of a worker that has a model (by default the genesis model)."""
    objects = TaskObjects(store)
    objects.model(model or task.genesis)
    objects.spec(task.spec)
    store.read.clear()
    return objects


def same(left, right):
    return left.keys() == right.keys() and all(left[name].tobytes() == right[name].tobytes() for name in left)


def fetched(store):
    return {content_id for content_id, _ in store.read}


@pytest.mark.parametrize("rule", ["fedavg", "trimmed_mean", "median"])
def test_a_round_by_its_updates_is_the_model_to_the_bit(rule):
    task, store = recorded(rule=rule)
    wanted = task.rounds[1].final_model
    objects = worker_objects(task, store)
    model = newest_model(TASK, task, wanted, objects)
    assert wanted not in fetched(store)
    assert sum(size for _, size in store.read) < wanted.size / 3
    assert same(model, read_model(store.get(wanted)))
    assert objects.held[0] == wanted


def test_rounds_that_were_missed_are_followed_one_after_the_other_over_a_void_one():
    task, store = recorded()
    wanted = task.rounds[3].final_model
    objects = worker_objects(task, store)
    model = newest_model(TASK, task, wanted, objects)
    assert not {wanted, task.rounds[1].final_model} & fetched(store)
    assert same(model, read_model(store.get(wanted)))


def test_a_way_over_rounds_that_are_no_longer_held_gives_way_to_the_whole_model():
    task, store = recorded()
    wanted, held = task.rounds[3].final_model, task.rounds[1].final_model
    for found in task.rounds.values():
        found.phase = Phase.Finalized if found.final_model else Phase.Void
    task.forget(2)
    assert sorted(task.rounds) == [3, 4]
    assert same(newest_model(TASK, task, wanted, worker_objects(task, store)), read_model(store.get(wanted)))
    assert wanted in fetched(store)
    # From the newest of the forgotten ones on, the way is known.
    newest_model(TASK, task, wanted, worker_objects(task, store, held))
    assert wanted not in fetched(store)


def test_a_worker_without_a_model_or_with_a_foreign_one_fetches_the_whole():
    task, store = recorded()
    wanted = task.rounds[1].final_model
    assert same(newest_model(TASK, task, wanted, TaskObjects(store)), read_model(store.get(wanted)))
    store.read.clear()
    later = worker_objects(task, store, task.rounds[4].final_model)
    newest_model(TASK, task, wanted, later)
    assert fetched(store) == {wanted}


def test_the_whole_model_is_fetched_where_it_is_the_smaller():
    task, store = recorded(codec="none")
    wanted = task.rounds[1].final_model
    newest_model(TASK, task, wanted, worker_objects(task, store))
    assert fetched(store) == {wanted}


@pytest.mark.parametrize("gone", ["update", "report"])
def test_a_missing_object_leads_to_the_whole_model(gone):
    task, store = recorded()
    found = task.rounds[1]
    store.delete(found.updates[2].content_id if gone == "update" else found.proposals[0].report)
    model = newest_model(TASK, task, found.final_model, worker_objects(task, store))
    assert found.final_model in fetched(store)
    assert same(model, read_model(store.get(found.final_model)))


def forged(report):
    """Yield reports that are false: no report, another round's, another plan."""
    yield b"no report"
    yield replace(report, round=9).encode()
    yield replace(report, plan=replace(report.plan, divisor=report.plan.divisor + 1)).encode()


def test_a_false_report_leads_to_the_whole_model():
    task, store = recorded()
    found = task.rounds[1]
    true = Report.decode(store.get(found.proposals[0].report))
    for data in forged(true):
        found.proposals[0] = replace(found.proposals[0], report=store.put(data))
        objects = worker_objects(task, store)
        assert same(newest_model(TASK, task, found.final_model, objects), read_model(store.get(found.final_model)))
        assert objects.held[0] == found.final_model


def test_a_false_model_on_record_is_never_computed_into_another():
    task, store = recorded()
    found = task.rounds[1]
    other = {name: array + 1 for name, array in read_model(store.get(found.final_model)).items()}
    found.final_model = store.put(write_model(other))
    assert same(newest_model(TASK, task, found.final_model, worker_objects(task, store)), other)
    store.delete(found.final_model)
    with pytest.raises(ObjectNotFound):
        newest_model(TASK, task, found.final_model, worker_objects(task, store))


def test_a_store_that_does_not_answer_is_said():
    task, store = recorded()
    objects = worker_objects(task, store)

    def silent(content_id):
        raise StorageUnavailable("no answer")

    store.get = silent
    with pytest.raises(StorageUnavailable):
        newest_model(TASK, task, task.rounds[1].final_model, objects)
    assert objects.held[0] == task.genesis


def test_updates_that_do_not_come__give_way_to_the_whole_model():
    task, store = recorded()
    found = task.rounds[1]
    objects = worker_objects(task, store)
    whole = store.get

    def without_updates(content_id):
        if content_id in {update.content_id for update in found.updates}:
            raise StorageUnavailable("no answer in time")
        return whole(content_id)

    store.get = without_updates
    wanted = read_model(whole(found.final_model))
    assert same(newest_model(TASK, task, found.final_model, objects), wanted)
    assert objects.held[0] == found.final_model
