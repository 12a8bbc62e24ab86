"""FlareNode and the clocks."""

import threading
import time

import pytest

from flare_offchain import FlareConfig, FlareNode
from flare_offchain.core.clock import Clock, ManualClock, SystemClock

pytestmark = pytest.mark.unit


class Recorder(FlareNode):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.calls = []

    def start(self):
        self.calls.append("start")

    def stop(self):
        self.calls.append("stop")


class TestNode:
    def test_has_a_name_and_settings_of_its_own(self):
        config = FlareConfig({"a": 1})
        node = Recorder("worker-1", config)
        config.set("a", 2)
        assert (node.node_id, node.config.get("a")) == ("worker-1", 1)
        assert Recorder("x").config == FlareConfig()

    def test_needs_a_name(self):
        with pytest.raises(ValueError, match="name"):
            Recorder("")

    def test_context_manager_starts_and_stops_even_after_an_error(self):
        node = Recorder("x")
        with pytest.raises(KeyError), node as entered:
            assert entered is node and node.calls == ["start"]
            raise KeyError
        assert node.calls == ["start", "stop"]

    def test_is_abstract(self):
        with pytest.raises(TypeError, match="abstract"):
            FlareNode("x")


class TestClocks:
    def test_manual_clock_moves_only_when_told(self):
        clock: Clock = ManualClock(100)
        clock.sleep(5)
        clock.sleep(-1)
        assert clock.now() == clock.monotonic() == 105
        clock.advance(0.5)
        assert clock.now() == 105.5
        with pytest.raises(ValueError, match="back"):
            clock.advance(-1)

    def test_system_clock_is_the_machine_s(self):
        clock: Clock = SystemClock()
        assert abs(clock.now() - time.time()) < 5
        before = clock.monotonic()
        clock.sleep(0.01)
        clock.sleep(-1)
        assert clock.monotonic() - before >= 0.005

    def test_system_clock_can_be_woken(self):
        clock = SystemClock()
        timer = threading.Timer(0.02, clock.wake)
        timer.start()
        before = time.monotonic()
        clock.sleep(60)
        clock.sleep(60)
        assert time.monotonic() - before < 30
        timer.join()
