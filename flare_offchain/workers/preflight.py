"""What is looked at before a worker starts: each check says what it found, or what to do. Nothing is sent."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from flare_offchain.blockchain.abi import checksum
from flare_offchain.blockchain.contracts import TaskStatus
from flare_offchain.blockchain.deployments import FlareDeployment, open_deployment
from flare_offchain.blockchain.signers import RemoteSigner
from flare_offchain.core.errors import ConfigurationError, FlareError
from flare_offchain.core.types import Address
from flare_offchain.federation.gather import TaskObjects
from flare_offchain.models.builder import build_adapter
from flare_offchain.models.own import offer_modules
from flare_offchain.storage import IPFSStorageProvider
from flare_offchain.workers.building import open_store, worker_data
from flare_offchain.workers.runtime import connect, open_keys, remote_signer
from flare_offchain.workers.settings import WorkerSettings

if TYPE_CHECKING:
    from flare_offchain.blockchain.ethereum import EthereumConnector

Verdict = Literal["passed", "warning", "failed", "skipped"]
GAS_PER_ROUND = 2_500_000
"""More than a worker that does everything in a round uses (docs/operator.md)."""
ROUNDS_AHEAD = 20
FREE_BYTES = 2**30
MAX_SKEW = 30.0
MAX_BLOCK_AGE = 120.0


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check: its name, what came of it, and what was found or is to be done."""

    name: str
    verdict: Verdict
    detail: str


class _Warned(Exception):
    """Something that an operator should know and the worker can live with."""


@dataclass(slots=True)
class _Found:
    """What earlier checks have opened for later ones."""

    settings: WorkerSettings
    address: Address | None = None
    vrf_key: int | None = None
    chain: EthereumConnector | None = None
    deployment: FlareDeployment | None = None

    def opened(self) -> tuple[EthereumConnector, FlareDeployment]:
        """Return chain and contracts. Raises `_Skipped`."""
        if self.chain is None or self.deployment is None:
            raise _Skipped("needs the chain and the contracts")
        return self.chain, self.deployment


class _Skipped(Exception):
    """A check that an earlier failure leaves without ground."""


def preflight(settings: WorkerSettings) -> list[CheckResult]:
    """Run every check and return what each found; no check hides another."""
    found = _Found(settings)
    try:
        return list(_run(found))
    finally:
        if found.chain is not None:
            found.chain.close()


def _run(found: _Found) -> Iterator[CheckResult]:
    for name, check in CHECKS.items():
        try:
            yield CheckResult(name, "passed", check(found))
        except _Warned as warning:
            yield CheckResult(name, "warning", str(warning))
        except _Skipped as reason:
            yield CheckResult(name, "skipped", str(reason))
        except FlareError as error:
            yield CheckResult(name, "failed", str(error))


def _keys(found: _Found) -> str:
    keys = found.settings.keys
    if keys is None:
        raise _Skipped("dry mode without a key")
    account, vrf_key, _ = open_keys(keys)
    found.address = checksum(account.address)
    if isinstance(account, RemoteSigner):
        account.close()
    if vrf_key is not None:
        found.vrf_key = vrf_key.public_x
    for path in (keys.account, keys.vrf, keys.password_file):
        if path is not None and path.stat().st_mode & 0o077:
            raise _Warned(f"others may read {path}: chmod 600 it")
    return f"account {found.address}" + ("" if found.vrf_key is None else " and its VRF key")


def _chain(found: _Found) -> str:
    found.chain = connect(found.settings)
    head = found.chain.head()
    if found.settings.chain.chain_id is None:
        raise _Warned(f"chain {found.chain.chain_id}, block {head.number}: set chain.chain_id, so that no other passes")
    return f"chain {found.chain.chain_id}, {found.settings.chain.finality} block {head.number}"


def _contracts(found: _Found) -> str:
    if found.chain is None:
        raise _Skipped("needs the chain")
    found.deployment = open_deployment(found.chain, found.settings.chain.deployments)
    return f"coordinator {found.deployment.coordinator.address}, code as released"


def _signer(found: _Found) -> str:
    """Have a transaction signed that would send nothing to nobody else, and pays 1 wei for a unit of gas."""
    keys = found.settings.keys
    if keys is None or keys.signer is None:
        raise _Skipped("the account's key is in a file")
    if found.chain is None:
        raise _Skipped("needs the chain")
    probe = {"type": 2, "chainId": found.chain.chain_id, "nonce": 0, "gas": 21000, "value": 0, "data": b""}
    probe |= {"maxFeePerGas": 1, "maxPriorityFeePerGas": 0, "to": keys.signer.address}
    signer = remote_signer(keys.signer)
    try:
        signer.sign_transaction(probe)
    finally:
        signer.close()
    return f"{signer.label} signs for {signer.address} ({signer.method})"


def _clock(found: _Found) -> str:
    if found.chain is None:
        raise _Skipped("needs the chain")
    newest = found.chain.stamp(found.chain.head().number)
    ahead, age = newest.timestamp - time.time(), time.time() - newest.timestamp
    if ahead > MAX_SKEW:
        raise ConfigurationError(f"the newest block is {ahead:.0f} s in the future: set this machine's clock (NTP)")
    if age > MAX_BLOCK_AGE and found.settings.chain.finality == "latest":
        raise _Warned(f"the newest block is {age:.0f} s old: the chain stands still, the endpoint or the clock is off")
    return f"the newest block is {max(age, 0):.0f} s old"


def _balance(found: _Found) -> str:
    chain, _ = found.opened()
    if found.address is None:
        raise _Skipped("needs the key")
    balance, (base, priority) = chain.balance(found.address), chain.fee_levels()
    needed = ROUNDS_AHEAD * GAS_PER_ROUND * (2 * base + priority)
    if balance == 0:
        raise ConfigurationError(f"{found.address} has no money: fund it")
    if balance < needed:
        raise _Warned(f"{balance} wei pay for fewer than {ROUNDS_AHEAD} rounds at today's fees ({needed} wei): fund it")
    return f"{balance} wei, enough for {ROUNDS_AHEAD} rounds and more"


def _registration(found: _Found) -> str:
    _, deployment = found.opened()
    if found.address is None or found.settings.role == "keeper":
        raise _Skipped("a keeper needs none" if found.address else "needs the key")
    registered = deployment.registry.active_key(found.address)
    if not registered:
        raise ConfigurationError(f"{found.address} is no active participant: `flare worker register`")
    if registered != found.vrf_key:
        raise ConfigurationError(f"{found.address} is registered with another VRF key than keys.vrf holds")
    if not deployment.coordinator.enrolment(found.settings.task_id, found.address).enrolled:
        raise _Warned(f"not enrolled in task {found.settings.task_id}: `flare task join`")
    return f"bonded, and enrolled in task {found.settings.task_id}"


def _task(found: _Found) -> str:
    _, deployment = found.opened()
    task = deployment.coordinator.task(found.settings.task_id)
    if task.status is not TaskStatus.Open:
        raise _Warned(f"task {found.settings.task_id} is {task.status.name.strip('_').lower()}")
    return f"task {found.settings.task_id} is open, round {task.round} of {task.rules.max_rounds}"


def _store(found: _Found) -> str:
    if found.settings.role == "keeper":
        raise _Skipped("a keeper needs none")
    store = open_store(found.settings.store)
    if isinstance(store, IPFSStorageProvider):
        store.check()
    probe = store.put(b"flare worker check")
    if store.get(probe) != b"flare worker check":
        raise ConfigurationError("the store does not return what was put")
    store.delete(probe)
    return "takes, returns and deletes an object"


def _objects(found: _Found) -> str:
    _, deployment = found.opened()
    if found.settings.role == "keeper":
        raise _Skipped("a keeper needs none")
    task = deployment.coordinator.task(found.settings.task_id)
    objects = TaskObjects(open_store(found.settings.store))
    spec = objects.spec(task.spec)
    objects.pool(spec)
    objects.model(task.model)
    return f"spec, probe pool and newest model: {spec.model.name}, codec {spec.codec.name}, {spec.aggregation.name}"


def _data(found: _Found) -> str:
    if found.settings.data is None:
        raise _Skipped("this worker does not train")
    data = worker_data(found.settings)
    _, deployment = found.opened()
    task = deployment.coordinator.task(found.settings.task_id)
    spec = TaskObjects(open_store(found.settings.store)).spec(task.spec)
    offer_modules(found.settings.modules)
    build_adapter(spec.model.name, spec.model.parameters, device="cpu")
    classes = spec.model.parameters.get("classes")
    if isinstance(classes, int) and len(data) and int(data.labels.max()) >= classes:
        raise ConfigurationError(f"labels reach {int(data.labels.max())}, the task's model knows {classes} classes")
    if not len(data):
        raise ConfigurationError("the data has no samples")
    return f"{len(data)} samples of shape {data.sample_shape}"


def _disk(found: _Found) -> str:
    folder = found.settings.folder
    probe = folder / ".check"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"x")
        probe.unlink()
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise ConfigurationError(f"cannot write to {folder}: {error.strerror}") from error
    if free < FREE_BYTES:
        raise _Warned(f"{free // 2**20} MiB are free in {folder}: make room")
    return f"{free // 2**20} MiB are free in {folder}"


CHECKS: dict[str, Callable[[_Found], str]] = {
    "keys": _keys,
    "disk": _disk,
    "chain": _chain,
    "signer": _signer,
    "clock": _clock,
    "contracts": _contracts,
    "balance": _balance,
    "registration": _registration,
    "task": _task,
    "store": _store,
    "objects": _objects,
    "data": _data,
}
"""In the order in which they build on each other."""
