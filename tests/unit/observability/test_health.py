"""Health and metrics. The server is asked over loopback in the integration tests; here its parts."""

import pytest

from flare_offchain.core.clock import ManualClock
from flare_offchain.observability.health import Pulse
from flare_offchain.observability.metrics import BRANCHES, WorkerMetrics

pytestmark = pytest.mark.unit


def test_pulse__without_good_cycles__becomes_ill_and_recovers():
    clock = ManualClock()
    pulse = Pulse(limit=10, busy_limit=100, monotonic=clock.monotonic)
    clock.advance(10)
    assert pulse.status()[0]
    clock.advance(1)
    pulse.fault("no endpoint")
    assert pulse.status() == (
        False,
        {"well": False, "seconds_since_last_good_cycle": 11.0, "busy_with": None, "fault": "no endpoint"},
    )
    pulse.beat()
    assert pulse.status()[0] and pulse.status()[1]["fault"] is None


def test_pulse__busy_with_a_long_step__has_longer():
    clock = ManualClock()
    pulse = Pulse(limit=10, busy_limit=100, monotonic=clock.monotonic)
    pulse.busy("submit update")
    clock.advance(99)
    assert pulse.status()[0] and pulse.status()[1]["busy_with"] == "submit update"
    clock.advance(2)
    assert not pulse.status()[0]


def test_metrics__from_the_start__have_every_branch_and_the_process():
    metrics = WorkerMetrics()
    metrics.steps.labels("vote", "confirmed").inc()
    text = metrics.render().decode()
    assert all(f'flare_faults_total{{branch="{branch}"}} 0.0' in text for branch in BRANCHES)
    assert 'flare_steps_total{outcome="confirmed",step="vote"} 1.0' in text
    assert "process_resident_memory_bytes" in text
    assert WorkerMetrics().registry is not metrics.registry
