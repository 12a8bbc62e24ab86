"""Speed and memory of a round's aggregation by mutual information on one core, and of the update codec.

1,000 workers (quick: too) send updates of a perceptron of 9,610 parameters: 64 inputs, 128 hidden, 10 classes; the
probe has 100 digits. Updates are a step of SGD on eight digits each, so that nothing is degenerate. Scoring is
everything that turns updates into verdicts: Gram matrix, noise test, forwards, mutual information, votes. Aggregation
is that, the plan with its accept test, the exact sum and the model. Each is measured `REPETITIONS` times; the median
counts. Times are processor time of one thread, so that other work on the machine counts little. Peak memory is what is
allocated on top of the decoded updates during an aggregation. Other combinations of the accepted are measured once.
"""

from __future__ import annotations

import os

# Set before numpy loads its BLAS: one core is what is measured.
os.environ["OMP_NUM_THREADS"] = "1"

import statistics
import time
import tracemalloc
from collections.abc import Callable
from functools import partial

import numpy as np
from _attacked import Population, Setting
from _harness import Benchmark, BenchmarkFailed, Row, run

from flare_offchain.compression.codecs import codec_from_spec
from flare_offchain.core.tensors import ModelSchema
from flare_offchain.federation.adversary import LocalData
from flare_offchain.federation.aggregation.effects import measure_effects
from flare_offchain.federation.aggregation.evidence import labelled_evidence
from flare_offchain.federation.aggregation.geometry import clip_factors, gram_matrix, norms
from flare_offchain.federation.aggregation.mutual_information import MIAggregationStrategy
from flare_offchain.federation.aggregation.strategy import SelectionRequest, quantise
from flare_offchain.federation.aggregation.survivors import COMBINATIONS, MEAN
from flare_offchain.federation.exact_sum import apply
from flare_offchain.federation.probe import Probe
from flare_offchain.models.architectures import initial_weights
from flare_offchain.models.forward import forward_function, forward_many_function
from flare_offchain.utils.datasets import load_dataset

WORKERS = 1_000
PROBE = 100
SAMPLES = 8
ARCHITECTURE = {"inputs": 64, "classes": 10, "hidden": [128]}
REPETITIONS = 5
SCORE_LIMIT_MS, AGGREGATE_LIMIT_MS, MEMORY_MARGIN_MIB = 200.0, 500.0, 200.0
MIB = 2**20


def make_request(seed: int, workers: int) -> SelectionRequest:
    """Return a round of honest updates."""
    data = load_dataset("digits")
    features = np.ascontiguousarray(data.features.reshape(len(data), -1))
    order = np.random.Generator(np.random.PCG64(seed)).permutation(len(data))
    base = initial_weights("mlp", ARCHITECTURE, seed)
    schema = ModelSchema.of(base)
    rest = np.arange(workers * SAMPLES).reshape(workers, SAMPLES) % (len(order) - PROBE)
    parts = [LocalData(features[own], data.labels[own], data.classes) for own in order[PROBE:][rest]]
    every = np.broadcast_to(np.arange(SAMPLES) / SAMPLES, (workers, 1, SAMPLES))
    stacked = Population.of(parts).deltas(base, Setting("digits", "iid", steps=1, batch=SAMPLES), every)
    updates = [quantise({name: array[i] for name, array in stacked.items()}, schema) for i in range(workers)]
    probe = Probe(features[order[:PROBE]], data.labels[order[:PROBE]])
    forward, many = forward_function("mlp", ARCHITECTURE), forward_many_function("mlp", ARCHITECTURE)
    return SelectionRequest(updates, [16] * workers, base, schema, forward, probe, many)


def aggregate(request: SelectionRequest, combination: str = MEAN) -> None:
    """Select, combine and apply, as a proposer does."""
    strategy = MIAggregationStrategy(combination=combination)
    plan = strategy.select(request)
    apply(strategy.combine(request.updates, plan, request.schema), plan.divisor, request.base)


def milliseconds(work: Callable[[], object], repetitions: int = REPETITIONS) -> float:
    """Return the median processor time of some work, after one run that is not counted."""
    work()
    times = []
    for _ in range(repetitions):
        started = time.process_time()
        work()
        times.append(1e3 * (time.process_time() - started))
    return statistics.median(times)


def information(request: SelectionRequest) -> None:
    """Evaluate every update on the probe and score it: what mutual information itself costs."""
    if request.probe is None or request.probe.labels is None:
        raise BenchmarkFailed("the probe has labels")
    lengths = np.ones(len(request.updates))
    labelled_evidence(measure_effects(request, lengths, lengths), request.probe.labels)


def codec_speed(seed: int) -> float:
    """Return MB of float32 encoded and decoded a second, of an update of 1,048,576 parameters."""
    weights = np.random.Generator(np.random.PCG64(seed)).standard_normal((1024, 1024)).astype(np.float32)
    delta = {"weight": weights * np.float32(0.01)}
    schema = ModelSchema.of(delta)
    codec = codec_from_spec("powersgd", {"rank": 4})
    context = bytes(32)

    def there_and_back() -> None:
        codec.decode(codec.encode(delta, schema, context).data, schema, context)
        codec.acknowledge(accepted=True)

    return float(delta["weight"].nbytes / 1e6 / (milliseconds(there_and_back) / 1e3))


def peak_of_aggregation(request: SelectionRequest, combination: str = MEAN) -> float:
    """Return MiB allocated at the peak of an aggregation, above what was held before."""
    tracemalloc.start()
    try:
        aggregate(request, combination)
        return tracemalloc.get_traced_memory()[1] / MIB
    finally:
        tracemalloc.stop()


def main() -> None:
    """Measure; the quick run is the full run."""
    bench = Benchmark("aggregation_speed", __doc__ or "")
    request = make_request(bench.seed, WORKERS)
    seeds = [bench.seed]
    inner = milliseconds(lambda: information(request))
    gram = milliseconds(lambda: clip_factors(norms(gram_matrix(request.updates, request.schema))))
    whole_score = milliseconds(lambda: MIAggregationStrategy().judge(request))
    whole = milliseconds(lambda: aggregate(request))
    peak = peak_of_aggregation(request)
    inputs = sum(t.integers.nbytes for update in request.updates for t in update.tensors.values()) / MIB
    speed = codec_speed(bench.seed)
    bench.add(Row("forwards and mutual information", inner, "ms", REPETITIONS, seeds, SCORE_LIMIT_MS, "limit"))
    bench.add(Row("Gram matrix", gram, "ms", REPETITIONS, seeds))
    bench.add(Row("all verdicts", whole_score, "ms", REPETITIONS, seeds))
    bench.add(Row("whole aggregation", whole, "ms", REPETITIONS, seeds, AGGREGATE_LIMIT_MS, "limit"))
    bench.add(Row("peak above decoded inputs", peak, "MiB", 1, seeds, MEMORY_MARGIN_MIB, "limit"))
    bench.add(Row("encode and decode, PowerSGD rank 4", speed, "MB/s", REPETITIONS, seeds))
    for other in [combination for combination in COMBINATIONS if combination != MEAN]:
        slower = milliseconds(partial(aggregate, request, other), 1)
        bench.add(Row(f"whole aggregation, {other}", slower, "ms", 1, seeds))
        used = peak_of_aggregation(request, other)
        bench.add(Row(f"peak above decoded inputs, {other}", used, "MiB", 1, seeds, MEMORY_MARGIN_MIB, "limit"))
    bench.note(f"{WORKERS} updates of {request.schema.parameters} parameters, {inputs:.0f} MiB decoded")
    summary = {"encode_decode_mb_s": speed, "score_1000_ms": inner, "aggregate_1000_ms": whole, "peak_mib": peak}
    bench.finish(summary)


if __name__ == "__main__":
    run(main)
