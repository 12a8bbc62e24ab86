"""`flare key`: keys on disk, encrypted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flare_offchain.cli.amounts import ether_text, wei_of
from flare_offchain.cli.options import Json, OpenNetwork, Output, PasswordFile, add_command

app = typer.Typer(
    help="Make, show and fund keys: an account's signing key, and the VRF key that wins seats.", no_args_is_help=True
)

ADDRESS_CHARACTERS = 42

NEW = """Make an account and a VRF key, each in an encrypted file. A key that is there is never overwritten.

A folder gets account.json and vrf.json; a file NAME.json has NAME.vrf.json beside it. The password is read from
--password-file, from FLARE_PASSWORD, or asked for.

Example: flare key new --out keys/alice
"""
SHOW = """Show the public parts of a key file or folder; no password is needed.

Example: flare key show keys/alice
"""


@app.command("new", help=NEW)
def new(
    out: Annotated[Path, typer.Option(metavar="FOLDER_OR_FILE", help="Where the keys go.")],
    password_file: PasswordFile = None,
    json: Json = False,
) -> int:
    """Make the keys."""
    from eth_account import Account

    from flare_offchain.blockchain.keys import write_account, write_vrf_key
    from flare_offchain.cli.accounts import key_files, password_for
    from flare_offchain.consensus.keys import VrfKey
    from flare_offchain.core.errors import KeyStoreError

    account_file, vrf_file = key_files(out)
    for path in (account_file, vrf_file):
        if path.exists():
            raise KeyStoreError(f"{path} exists: a key is never overwritten. Move it away, or name another file")
    password = password_for(password_file, f"New password for {account_file}: ", twice=True)
    account, vrf_key = Account.create(), VrfKey.generate()
    # The VRF key first: an account's file without one would look complete.
    write_vrf_key(vrf_file, vrf_key, password)
    write_account(account_file, account, password)
    Output(json).fields(
        "",
        {
            "account": account.address,
            "vrf_key": f"{vrf_key.public_x:#066x}",
            "account_file": str(account_file),
            "vrf_file": str(vrf_file),
        },
    )
    return 0


@app.command("show", help=SHOW)
def show(
    file: Annotated[Path, typer.Argument(metavar="FOLDER_OR_FILE", help="What `flare key new` made.")],
    json: Json = False,
) -> int:
    """Show the public parts."""
    from flare_offchain.blockchain.abi import checksum
    from flare_offchain.blockchain.keys import public_part
    from flare_offchain.cli.accounts import key_files

    output = Output(json)
    account_file, vrf_file = key_files(file)
    shown: dict[str, object] = {}
    for path in (file,) if file.is_file() else (account_file, vrf_file):
        public = public_part(path)
        if len(public) == ADDRESS_CHARACTERS:
            shown |= {"account": checksum(public), "account_file": str(path)}
        else:
            shown |= {"vrf_key": _vrf_text(path, public), "vrf_file": str(path)}
    output.fields("", shown)
    return 0


def _vrf_text(path: Path, public: str) -> str:
    from flare_offchain.core.errors import KeyStoreError

    try:
        return f"{int(public, 16):#066x}"
    except ValueError:
        raise KeyStoreError(f"{path} does not say whose key it holds") from None


def fund(
    network: OpenNetwork,
    output: Output,
    to: Annotated[str, typer.Argument(metavar="TO", help="An address, or a key file or folder.")],
    amount: Annotated[str, typer.Argument(metavar="ETH", help='How much: 0.5, "20 gwei".')],
) -> None:
    """Send ether to an account, so that it can pay for its transactions and its bond.

    Example: flare key fund keys/alice 5 --run net --key dev:0
    """
    from flare_offchain.cli.accounts import named_address

    receiver, wei = named_address(to), wei_of(amount)
    sent = network.chain.send_value(network.account, receiver, wei).confirmed()
    balance = network.chain.balance(receiver)
    output.result(
        f"{receiver} received {ether_text(wei)} and has {ether_text(balance)}",
        {
            "event": "funded",
            "account": receiver,
            "amount_wei": str(wei),
            "balance_wei": str(balance),
            "transaction": sent.transaction_hash.hex(),
        },
    )


add_command(app, "fund", fund, key=True, writes=True)
