"""The tree of errors.

A loop asks one question of an error: try again, give up this round, or stop. The three branches below
`FlareError` answer it; everything Flare raises on purpose is in one of them. The command line maps each
branch to an exit code (`EXIT_CODES`).
"""

from __future__ import annotations


class FlareError(Exception):
    """Root of every error that Flare raises on purpose. The message says what is wrong and what to do."""


class Retryable(FlareError):
    """A passing fault (endpoint down, timeout, object not yet there): the same call may succeed later."""


class RoundAbandoned(FlareError):
    """This round cannot be served (deadline passed, phase moved on, object unavailable): wait for the next."""


class Fatal(FlareError):
    """Nothing will help but a person: wrong chain, wrong configuration, broken local state."""


class ConfigurationError(Fatal, ValueError):
    """A setting is missing, of the wrong type or out of range."""


class DataError(Fatal, ValueError):
    """A data set is unknown, missing, corrupt or of the wrong shape."""


class MalformedObject(RoundAbandoned, ValueError):
    """Bytes from the network are not a canonical object of the expected kind, shape, dtype or size."""


class IntegrityError(RoundAbandoned):
    """Bytes do not hash to the identifier that names them."""


class ObjectNotFound(Retryable, KeyError):
    """No store that was asked holds the object."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else "object not found"


class StorageUnavailable(Retryable):
    """The store itself could not be reached or written."""


class ChainUnavailable(Retryable):
    """The RPC endpoint did not answer or answered with a transport fault."""


class SignerUnavailable(Retryable):
    """The signer that holds the account's key elsewhere did not answer."""


class ProcessFailed(Retryable):
    """A process of our own that computes something ended or failed: another one may do it."""


class SignerRefused(Fatal):
    """A signer elsewhere refuses to sign, or has signed something else than it was asked to."""


class WrongChain(Fatal):
    """The endpoint serves another chain, or the contracts there are not the expected code."""


class TransactionReverted(RoundAbandoned):
    """A contract refused a call. `error` is the custom error's name, `arguments` its decoded values."""

    def __init__(self, message: str, error: str | None = None, arguments: tuple[object, ...] = ()) -> None:
        super().__init__(message)
        self.error = error
        self.arguments = arguments


class TransactionNotMined(Retryable):
    """A transaction was sent and is pending or was dropped: read the chain, then try again."""


class ChainRecordAltered(Fatal):
    """The record of an embedded chain is not what the chain made.

    `block` is the block's number, `transaction_index` or `log_index` the place within it where that is known, `what`
    the altered thing: a header field's name, `transaction`, `log`, `missing`, `order`, …
    """

    def __init__(
        self,
        message: str,
        block: int,
        what: str,
        transaction_index: int | None = None,
        log_index: int | None = None,
    ) -> None:
        super().__init__(message)
        self.block = block
        self.what = what
        self.transaction_index = transaction_index
        self.log_index = log_index


class InsufficientFunds(Fatal):
    """The account cannot pay for value plus gas."""


class InvalidProof(RoundAbandoned, ValueError):
    """A VRF proof does not verify."""


class ExactnessError(RoundAbandoned, ArithmeticError):
    """An exact sum would leave the range in which it is exact."""


class NoAcceptableUpdate(RoundAbandoned):
    """The aggregation rule accepted no update: there is no model to propose."""


class InconsistentHistory(Fatal):
    """Events that cannot follow from one another: the endpoint is not telling one chain's story."""


class KeyStoreError(Fatal):
    """A key file is missing, corrupt, or its password is wrong."""


EXIT_CODES: dict[type[FlareError], int] = {Retryable: 75, RoundAbandoned: 65, Fatal: 78}
"""Exit code of the command line by branch (sysexits: EX_TEMPFAIL, EX_DATAERR, EX_CONFIG)."""


def exit_code(error: FlareError) -> int:
    """Return the exit code of an error's branch; 70 (EX_SOFTWARE) for a bare `FlareError`."""
    return next((code for branch, code in EXIT_CODES.items() if isinstance(error, branch)), 70)
