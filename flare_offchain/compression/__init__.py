"""Compression of updates and of bytes.

`codecs.codec_from_spec` builds update codecs by name; `codec.decode_update` reads what any of them wrote.
"""

from flare_offchain.compression.adaptive import AdaptiveCodec
from flare_offchain.compression.bounded import ErrorBoundedCodec
from flare_offchain.compression.codec import EncodedUpdate, UpdateCodec, decode_update
from flare_offchain.compression.codecs import CODECS, codec_from_spec
from flare_offchain.compression.compressor import Compressor, NoCompression
from flare_offchain.compression.dense import DenseCodec
from flare_offchain.compression.exact import DecodedUpdate, ExactTensor
from flare_offchain.compression.lossless import GzipCompressor, ZlibCompressor
from flare_offchain.compression.powersgd import PowerSGDCompressor
from flare_offchain.compression.ternary import TernaryCompressor
from flare_offchain.compression.topk import TopKCompressor

__all__ = [
    "CODECS",
    "AdaptiveCodec",
    "Compressor",
    "DecodedUpdate",
    "DenseCodec",
    "EncodedUpdate",
    "ErrorBoundedCodec",
    "ExactTensor",
    "GzipCompressor",
    "NoCompression",
    "PowerSGDCompressor",
    "TernaryCompressor",
    "TopKCompressor",
    "UpdateCodec",
    "ZlibCompressor",
    "codec_from_spec",
    "decode_update",
]
