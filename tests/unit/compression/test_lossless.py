import gzip
import zlib

import pytest

from flare_offchain.compression import GzipCompressor, NoCompression, ZlibCompressor
from flare_offchain.core.errors import ConfigurationError, MalformedObject
from tests.suites.compressor_suite import ByteCompressorSuite

pytestmark = pytest.mark.unit


class TestNoCompression(ByteCompressorSuite):
    def make(self, **arguments):
        return NoCompression(**arguments)


class DeflateSuite(ByteCompressorSuite):
    @pytest.mark.parametrize("tail", [b"\0", b"more"])
    def test_bytes_after_the_stream_are_refused(self, tail):
        packed = self.make().compress(b"flare" * 50)
        with pytest.raises(MalformedObject, match="follow"):
            self.make().decompress(packed + tail)

    def test_every_truncation_is_refused(self):
        packed = self.make().compress(bytes(range(256)))
        for end in range(len(packed)):
            with pytest.raises(MalformedObject):
                self.make().decompress(packed[:end])

    def test_flipped_byte_is_refused(self):
        packed = bytearray(self.make().compress(bytes(range(256))))
        packed[-1] ^= 1
        with pytest.raises(MalformedObject):
            self.make().decompress(bytes(packed))

    def test_bomb_is_refused_without_inflating_it(self):
        bomb = self.make(level=9).compress(bytes(50_000_000))
        assert len(bomb) < 100_000
        with pytest.raises(MalformedObject, match="bound"):
            self.make(max_bytes=10_000).decompress(bomb)

    @pytest.mark.parametrize("arguments", [{"level": 10}, {"level": -1}, {"max_bytes": -1}])
    def test_settings_out_of_range_are_refused(self, arguments):
        with pytest.raises(ConfigurationError):
            self.make(**arguments)


class TestZlibCompressor(DeflateSuite):
    def make(self, **arguments):
        return ZlibCompressor(**arguments)

    def test_zlib_itself_reads_it(self):
        assert zlib.decompress(ZlibCompressor().compress(b"flare")) == b"flare"


class TestGzipCompressor(DeflateSuite):
    def make(self, **arguments):
        return GzipCompressor(**arguments)

    def test_gzip_itself_reads_it_and_there_is_no_time_stamp(self):
        packed = GzipCompressor().compress(b"flare")
        assert gzip.decompress(packed) == b"flare"
        assert packed[4:8] == bytes(4)
