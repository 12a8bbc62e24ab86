"""The published VRF vectors, read from `tests/vectors`."""

import json
from pathlib import Path

_FOLDER = Path(__file__).parents[1] / "vectors"
_NUMBERS = ("example", "ctr")


def _load(name):
    """Return a file's vectors with hex text as bytes; a short private key is decimal."""
    vectors = json.loads((_FOLDER / name).read_text())["vectors"]
    return [
        {
            key: value if key in _NUMBERS else bytes.fromhex(value.removeprefix("0x"))
            for key, value in vector.items()
            if key != "priv" or len(value) == 64
        }
        for vector in vectors
    ]


P256_VECTORS = _load("vectors_rfc9381_p256_sha256_tai.json")
"""RFC 9381 B.1: sk, pk, alpha, ctr, H, k, U, V, pi, beta."""
SECP256K1_VECTORS = _load("vectors_secp256k1_rfc9381_fe.json")
"""The community's vectors for suite byte fe: priv, pub, message, pi, hash (beta)."""
DRAFT05_VECTORS = _load("vectors_secp256k1_witnet_draft05_fe.json")
"""The same suite byte as draft-05 had it: pub, message, pi, hash. None of these proofs verifies under RFC 9381."""
