"""What a running worker measures, in Prometheus' terms. No metric and no label holds a secret."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OUTCOMES = ("confirmed", "lost", "pending", "dropped", "done")
"""What becomes of a step: its transaction was mined; others were faster; it waits to be mined; another transaction
took its nonce; it needed no transaction."""
BRANCHES = ("retry", "abandon", "stop")
"""What an error leads to: try again, give up the round, stop."""
_SECONDS = (0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 1800)


class WorkerMetrics:
    """The metrics of one worker, in a registry of their own."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self.block = Gauge("flare_block", "Newest block that the worker has read.", registry=registry)
        self.round = Gauge("flare_round", "The task's current round.", registry=registry)
        self.phase = Gauge("flare_phase", "Phase of the current round, as the contract numbers it.", registry=registry)
        self.enrolled = Gauge("flare_enrolled_workers", "Workers enrolled in the task.", registry=registry)
        self.balance = Gauge("flare_balance_wei", "Balance of the worker's account.", registry=registry)
        self.credit = Gauge("flare_credit_wei", "Rewards that the worker can withdraw.", registry=registry)
        self.looked = Gauge("flare_last_read_timestamp_seconds", "When the chain was last read.", registry=registry)
        self.gas = Counter("flare_gas", "Gas used by the worker's transactions.", registry=registry)
        self.fees = Counter("flare_fees_wei", "Wei paid for gas.", registry=registry)
        self.steps = Counter("flare_steps", "Steps taken.", ["step", "outcome"], registry=registry)
        self.faults = Counter("flare_faults", "Errors met.", ["branch"], registry=registry)
        self.seconds = Histogram(
            "flare_step_seconds", "How long a step took.", ["step"], buckets=_SECONDS, registry=registry
        )
        # Series that exist from the start can be alerted on before their first event.
        for branch in BRANCHES:
            self.faults.labels(branch)
        ProcessCollector(registry=registry)

    def render(self) -> bytes:
        """Return the metrics in Prometheus' text format."""
        return generate_latest(self.registry)
