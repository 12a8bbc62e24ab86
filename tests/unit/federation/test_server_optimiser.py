"""Server optimisers: their formulas, their state as an object, and rounds that carry it on."""

from dataclasses import replace

import numpy as np
import pytest

from flare_offchain.compression.codecs import codec_from_spec
from flare_offchain.core.errors import ConfigurationError, MalformedObject
from flare_offchain.core.phases import RejectReason
from flare_offchain.core.records import UpdateRecord
from flare_offchain.core.tensors import ModelSchema
from flare_offchain.core.types import Address
from flare_offchain.federation.report import Report
from flare_offchain.federation.round import RoundInputs, aggregate_round, check_proposal
from flare_offchain.federation.server_optimiser import MAX_CHANGE, SERVER_OPTIMISERS, FedAdam, FedAvgM, server_optimiser
from flare_offchain.federation.spec import Named, TaskSpec, TrainingSettings
from flare_offchain.federation.update import TaskIdentity, update_context
from flare_offchain.storage.cid import content_id
from flare_offchain.utils.serialization import read_model, write_model, write_safetensors
from tests.factories.proposals import proposed

pytestmark = pytest.mark.unit

TASK = TaskIdentity(1, Address("0x" + "c" * 40), 1)
BASE = {"output.weight": np.zeros((3, 4), np.float32), "output.bias": np.zeros(3, np.float32)}
SCHEMA = ModelSchema.of(BASE)
BASE_ID = content_id(write_model(BASE))


def steps(count, seed=0):
    rng = np.random.default_rng(seed)
    return [{t.name: rng.standard_normal(t.shape) for t in SCHEMA.tensors} for _ in range(count)]


def moved(optimiser, given):
    """Follow the optimiser from the start; return where the model is after each step."""
    state, place, places = optimiser.start(SCHEMA), {n: a.astype(np.float64) for n, a in BASE.items()}, []
    for step in given:
        change, state = optimiser.advance(step, state)
        place = {name: place[name] + change[name] for name in place}
        places.append(place)
    return places


def test_fedavgm_is_descent_with_momentum_as_torch_has_it():
    torch = pytest.importorskip("torch")
    given = steps(5)
    found = moved(FedAvgM(learning_rate=0.5, momentum=0.8), given)
    parameter = torch.nn.Parameter(torch.zeros(3, 4, dtype=torch.float64))
    descent = torch.optim.SGD([parameter], lr=0.5, momentum=0.8)
    for step, place in zip(given, found, strict=True):
        parameter.grad = -torch.from_numpy(step["output.weight"])
        descent.step()
        np.testing.assert_allclose(place["output.weight"], parameter.detach().numpy(), rtol=1e-12)


def test_fedadam_is_the_published_algorithm():
    given, first, second, place = steps(6), 0.0, 0.0, 0.0
    found = moved(FedAdam(learning_rate=0.1, beta1=0.9, beta2=0.99, tau=1e-3), given)
    for step, at in zip(given, found, strict=True):
        delta = step["output.bias"]
        first = 0.9 * first + 0.1 * delta
        second = 0.99 * second + 0.01 * delta**2
        place = place + 0.1 * first / (np.sqrt(second) + 1e-3)
        np.testing.assert_allclose(at["output.bias"], place, rtol=1e-12)


def test_without_momentum_and_at_rate_one_fedavgm_takes_the_average_step():
    given = steps(3)
    for step, (before, after) in zip(
        given[1:], zip(moved(FedAvgM(1.0, 0.0), given), moved(FedAvgM(1.0, 0.0), given)[1:], strict=False), strict=True
    ):
        np.testing.assert_allclose(after["output.bias"] - before["output.bias"], step["output.bias"], atol=1e-14)


@pytest.mark.parametrize("name", SERVER_OPTIMISERS)
def test_a_state_is_an_object_that_gives_itself_back(name):
    optimiser = server_optimiser(name, {})
    _, state = optimiser.advance(steps(1)[0], optimiser.start(SCHEMA))
    data = optimiser.encode(state)
    assert optimiser.encode(optimiser.decode(data, SCHEMA)) == data
    other = ModelSchema.of({"output.weight": np.zeros((3, 5), np.float32), "output.bias": BASE["output.bias"]})
    for wrong in (data[:-1], data + b"\0", b"", write_safetensors({}), optimiser.encode(optimiser.start(other))):
        with pytest.raises(MalformedObject):
            optimiser.decode(wrong, SCHEMA)
    narrow = {f"{kind}/{t.name}": np.zeros(t.shape, np.float32) for kind in optimiser.kinds for t in SCHEMA.tensors}
    with pytest.raises(MalformedObject, match="float64"):
        optimiser.decode(write_safetensors(narrow), SCHEMA)
    infinite = {k: a.astype(np.float64) + np.inf for k, a in narrow.items()}
    with pytest.raises(MalformedObject):
        optimiser.decode(write_safetensors(infinite), SCHEMA)


def test_no_step_makes_a_model_infinite():
    huge = {t.name: np.full(t.shape, 2.0**77) for t in SCHEMA.tensors}
    for optimiser in (FedAvgM(100.0, 0.999999), FedAdam(100.0, 0.999999, 0.0, 1e-12)):
        state = optimiser.start(SCHEMA)
        for step in [huge] * 5 + [{n: a * 0 for n, a in huge.items()}] * 5:
            change, state = optimiser.advance(step, state)
            assert all(np.abs(array).max() <= MAX_CHANGE for array in change.values())
            optimiser.decode(optimiser.encode(state), SCHEMA)


@pytest.mark.parametrize(
    ("name", "parameters", "words"),
    [
        ("adagrad", {}, "no server optimiser 'adagrad'; there are fedavgm, fedadam"),
        ("fedavgm", {"beta1": 0.5}, "no parameter 'beta1'"),
        ("fedavgm", {"momentum": "much"}, "a number"),
        ("fedavgm", {"momentum": True}, "a number"),
        ("fedavgm", {"momentum": 1.0}, "momentum is from 0.0 to 1.0"),
        ("fedavgm", {"learning_rate": 0}, "learning_rate"),
        ("fedadam", {"tau": 0.0}, "tau"),
        ("fedadam", {"beta2": float("nan")}, "beta2"),
    ],
)
def test_what_cannot_be_is_refused_in_words(name, parameters, words):
    with pytest.raises(ConfigurationError, match=words):
        server_optimiser(name, parameters)


def inputs(server, state=None, number=5):
    spec = TaskSpec(
        Named("softmax", {"inputs": 4, "classes": 3}), TrainingSettings(), Named("none"), Named("fedavg"), None
    )
    objects, workers = {}, [Address("0x" + f"{index + 1:x}" * 40) for index in range(3)]
    for index, worker in enumerate(workers):
        delta = {name: np.full(array.shape, 0.25 * (index + 1), np.float32) for name, array in BASE.items()}
        context = update_context(TASK, number, worker, BASE_ID.digest)
        objects[index] = codec_from_spec("none", {}).encode(delta, SCHEMA, context).data
    updates = tuple(UpdateRecord(i, workers[i], content_id(data), 10, 0) for i, data in objects.items())
    spec = replace(spec, server=server)
    return RoundInputs(TASK, number, spec, BASE_ID, BASE, b"s" * 32, updates, 25, objects, None, state)


@pytest.mark.parametrize("name", SERVER_OPTIMISERS)
def test_a_round_carries_the_state_on_and_validators_recompute_it(name):
    server = Named(name, {"learning_rate": 0.5})
    first = aggregate_round(inputs(server))
    optimiser = server_optimiser(name, server.parameters)
    assert Report.decode(first.report).state == content_id(first.state)
    second = aggregate_round(inputs(server, first.state, 6))
    change, state = optimiser.advance(
        {n: np.full(a.shape, 0.5) for n, a in BASE.items()}, optimiser.decode(first.state, SCHEMA)
    )
    np.testing.assert_allclose(read_model(second.model, SCHEMA)["output.bias"], change["output.bias"], rtol=1e-5)
    assert set(optimiser.decode(second.state, SCHEMA)) == set(state)
    checked = check_proposal(inputs(server, first.state, 6), proposed(second))
    assert checked.approved and checked.state == second.state
    # From another state before, it is another model.
    assert check_proposal(inputs(server, None, 6), proposed(second)).reason is RejectReason.WrongModel


def test_a_report_that_names_another_state_is_rejected():
    server = Named("fedavgm")
    found = aggregate_round(inputs(server))
    report = Report.decode(found.report)
    for state in (None, content_id(b"another state")):
        data = replace(report, state=state).encode()
        checked = check_proposal(inputs(server), proposed(found, report=data, report_id=content_id(data)))
        assert checked.reason is RejectReason.WrongModel
        assert "state" in checked.notes[0]


def test_without_a_server_optimiser_a_report_names_no_state():
    found = aggregate_round(inputs(None))
    assert found.state is None and Report.decode(found.report).state is None
    data = replace(Report.decode(found.report), state=content_id(b"a state")).encode()
    checked = check_proposal(inputs(None), proposed(found, report=data, report_id=content_id(data)))
    assert checked.reason is RejectReason.WrongModel
