"""When a daemon looks for the next block."""

import pytest

from flare_offchain.blockchain.outcomes import BlockStamp
from flare_offchain.workers.rhythm import Rhythm

pytestmark = pytest.mark.unit


def block(number, timestamp):
    return BlockStamp(number, bytes([number % 256]) * 32, timestamp)


def follow(period, poll, blocks, phase=0.37):
    """Look as the rhythm says at a chain with a block every `period` seconds; return delays and the number of looks."""
    rhythm, moment, delays, looks, known = Rhythm(poll), 0.0, [], 0, -1
    while known < blocks:
        looks += 1
        number = int((moment + phase) / period)
        rhythm.saw(block(number, 1000 + int(number * period)), moment)
        if number > known:
            delays.append(moment + phase - number * period)
            known = number
        moment += rhythm.pause(moment)
    return delays, looks


@pytest.mark.parametrize("phase", [0.0, 0.2, 0.37, 0.5, 0.93])
def test_rhythm__finds_each_block_as_it_comes__with_no_more_looks(phase):
    delays, looks = follow(1.0, 0.5, 100, phase)
    assert max(delays[10:]) <= 0.07
    assert looks <= 2.6 * 100


def test_rhythm__of_a_slow_chain__is_the_poll():
    rhythm = Rhythm(1.0)
    rhythm.saw(block(1, 12), 0.0)
    rhythm.saw(block(2, 24), 12.3)
    assert rhythm.pause(12.4) == rhythm.pause(24.2) == 1.0


def test_rhythm__without_one__polls():
    rhythm = Rhythm(0.5)
    assert rhythm.pause(0.0) == 0.5
    rhythm.saw(block(1, 10), 0.0)
    assert rhythm.pause(0.1) == 0.5
    rhythm.saw(block(2, 11), 1.0)
    assert rhythm.pause(1.1) == pytest.approx(0.84)
    rhythm.saw(block(2, 11), 1.95)
    rhythm.saw(block(3, 12), 2.01)
    assert rhythm.pause(2.01) == pytest.approx(0.97)
    # A block that does not come is looked for ever less often.
    assert rhythm.pause(3.0) == pytest.approx(0.06)
    assert rhythm.pause(3.5) == 0.5
    # A reorganisation has no rhythm.
    rhythm.saw(block(1, 10), 3.6)
    assert rhythm.pause(3.7) == 0.5
