"""The two group implementations against the standards and against each other."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flare_offchain.consensus.curve import P256, SECP256K1, Point, PythonGroup
from flare_offchain.consensus.secp256k1 import Secp256k1Group
from flare_offchain.core.errors import InvalidProof

pytestmark = pytest.mark.unit

PURE, FAST, NIST = PythonGroup(SECP256K1), Secp256k1Group(), PythonGroup(P256)
GROUPS = pytest.mark.parametrize("group", [PURE, FAST, NIST], ids=["python", "libsecp256k1", "P-256"])
scalars = st.one_of(
    st.integers(0, 2**256 - 1), st.sampled_from([0, 1, 2, SECP256K1.n - 1, SECP256K1.n, SECP256K1.n + 1])
)
secrets = st.integers(1, SECP256K1.n - 1).map(lambda scalar: scalar.to_bytes(32, "big"))


def affine_sum(curve, left, right):
    """The chord-and-tangent rule straight from the textbook, on affine points; None is the identity."""
    if left is None or right is None:
        return right if left is None else left
    if left.x == right.x and (left.y + right.y) % curve.p == 0:
        return None
    if left == right:
        slope = (3 * left.x**2 + curve.a) * pow(2 * left.y, -1, curve.p)
    else:
        slope = (right.y - left.y) * pow(right.x - left.x, -1, curve.p)
    x = (slope * slope - left.x - right.x) % curve.p
    return Point(x, (slope * (left.x - x) - left.y) % curve.p)


@GROUPS
def test_small_multiples_follow_the_chord_and_tangent_rule(group):
    curve, total = group.curve, None
    for scalar in range(40):
        assert group.multiply(scalar, curve.generator) == total
        assert total is None or curve.contains(total)
        total = affine_sum(curve, total, curve.generator)


@GROUPS
def test_the_generator_has_order_n(group):
    curve = group.curve
    assert curve.contains(curve.generator)
    assert group.multiply(curve.n, curve.generator) is None
    assert group.multiply(curve.n - 1, curve.generator) == curve.negate(curve.generator)
    assert group.multiply(curve.n + 1, curve.generator) == curve.generator


@GROUPS
def test_linear_meets_doubling_and_the_identity(group):
    curve = group.curve
    b = curve.generator
    double, minus = affine_sum(curve, b, b), curve.negate(b)
    assert group.linear(1, b, 1, b) == double
    assert group.linear(3, b, 5, minus) == curve.negate(double)
    assert group.linear(7, b, 7, minus) is None
    assert group.linear(0, b, 0, double) is None
    assert group.linear(0, b, 1, double) == double
    assert group.linear(-1, b, 0, double) == minus


@given(u=scalars, v=scalars, base=secrets)
@settings(max_examples=60, deadline=None)
def test_linear_agrees_between_implementations(u, v, base):
    point = FAST.multiply_secret(base)
    assert FAST.linear(u, point, v, SECP256K1.generator) == PURE.linear(u, point, v, SECP256K1.generator)
    assert FAST.multiply(u, point) == PURE.multiply(u, point)


@given(secret=secrets, base=secrets, factor=st.integers(0, 2**128 - 1))
@settings(max_examples=40, deadline=None)
def test_secret_operations_agree_between_implementations(secret, base, factor):
    point = FAST.multiply_secret(base)
    assert point == PURE.multiply_secret(base)
    assert FAST.multiply_secret(secret, point) == PURE.multiply_secret(secret, point)
    assert FAST.respond(secret, factor, base) == PURE.respond(secret, factor, base)


def test_a_response_may_be_zero():
    one, minus_one = (1).to_bytes(32, "big"), (SECP256K1.n - 1).to_bytes(32, "big")
    assert FAST.respond(one, 1, minus_one) == PURE.respond(one, 1, minus_one) == 0


@GROUPS
@pytest.mark.parametrize("secret", [b"", b"\x01", bytes(32), b"\xff" * 32, b"\x00" * 31 + b"\x01\x00"])
def test_secrets_outside_the_range_are_refused(group, secret):
    good = (5).to_bytes(32, "big")
    with pytest.raises(ValueError, match=r"secret scalar is 32 bytes"):
        group.multiply_secret(secret)
    with pytest.raises(ValueError, match=r"secret scalar is 32 bytes"):
        group.multiply_secret(secret, group.curve.generator)
    with pytest.raises(ValueError, match=r"secret scalar is 32 bytes"):
        group.respond(secret, 1, good)
    with pytest.raises(ValueError, match=r"secret scalar is 32 bytes"):
        group.respond(good, 1, secret)


@GROUPS
def test_the_order_is_no_secret(group):
    with pytest.raises(ValueError, match=r"in \[1, n\)"):
        group.multiply_secret(group.curve.n.to_bytes(32, "big"))


@given(secret=secrets)
@settings(max_examples=30, deadline=None)
def test_negating_a_secret_negates_the_point(secret):
    negated = FAST.negate_secret(secret)
    assert int.from_bytes(negated, "big") == SECP256K1.n - int.from_bytes(secret, "big")
    assert FAST.multiply_secret(negated) == SECP256K1.negate(FAST.multiply_secret(secret))


@GROUPS
@pytest.mark.parametrize("scalar", [1, 2, 3, 4, 2**200 + 5])
def test_points_survive_encoding(group, scalar):
    point = group.multiply(scalar, group.curve.generator)
    for each in (point, group.curve.negate(point)):
        encoded = group.curve.encode(each)
        assert len(encoded) == 33
        assert encoded[0] == (3 if each.y % 2 else 2)
        assert group.decode(encoded) == each


@GROUPS
def test_strict_decoding(group):
    curve = group.curve
    valid = curve.encode(curve.generator)
    uncompressed = b"\x04" + curve.generator.x.to_bytes(32, "big") + curve.generator.y.to_bytes(32, "big")
    off_curve = next(x for x in range(1, 100) if group.lift(x) is None)
    for data in (
        b"",
        b"\x00",
        valid[:-1],
        valid + b"\x00",
        b"\x00" + valid[1:],
        b"\x04" + valid[1:],
        b"\x06" + valid[1:],
        uncompressed,
        b"\x02" + off_curve.to_bytes(32, "big"),
        b"\x02" + curve.p.to_bytes(32, "big"),
        b"\x02" + (curve.p + 1).to_bytes(32, "big"),
        b"\x03" + b"\xff" * 32,
    ):
        with pytest.raises(InvalidProof):
            group.decode(data)


@given(x=st.integers(0, 2**256 - 1))
@settings(max_examples=60, deadline=None)
def test_lift_agrees_between_implementations_and_gives_even_y(x):
    point = PURE.lift(x)
    assert point == FAST.lift(x)
    assert point is None or (point.x == x and point.y % 2 == 0 and SECP256K1.contains(point))


def test_lift_refuses_what_is_outside_the_field():
    for group in (PURE, FAST):
        assert group.lift(-1) is None
        assert group.lift(SECP256K1.p + 1) is None
        assert group.lift(2**256) is None


@pytest.mark.parametrize("point", [Point(1, 1), Point(0, 0), Point(SECP256K1.p + 1, 1), Point(2**256, 1), Point(-1, 1)])
def test_libsecp256k1_refuses_points_off_the_curve(point):
    assert not SECP256K1.contains(point)
    with pytest.raises(InvalidProof):
        FAST.linear(2, point, 0, point)


def test_contains_wants_reduced_coordinates():
    b = SECP256K1.generator
    assert SECP256K1.contains(b)
    assert not SECP256K1.contains(Point(b.x, b.y + SECP256K1.p))
    assert not SECP256K1.contains(Point(b.x, b.y + 1))
