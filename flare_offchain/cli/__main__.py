"""`python -m flare_offchain.cli`: the same as `flare`."""

from flare_offchain.cli.main import run

if __name__ == "__main__":
    run()
