"""The command line itself: help, wrong use, exit codes, one line for each error."""

import inspect
import resource
import subprocess
import sys

import pytest
import typer

from flare_offchain.cli import main
from flare_offchain.cli.options import PLACE
from flare_offchain.core.errors import EXIT_CODES

pytestmark = pytest.mark.unit


@pytest.fixture
def flare(capsys):
    """Run a command; return its exit code and what it wrote on both streams."""

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            main.run([str(argument) for argument in arguments])
        written = capsys.readouterr()
        return ended.value.code, written.out, written.err

    return run


def commands():
    """Yield every command with its path."""
    for registered in main.app.registered_commands:
        yield [registered.name], registered
    for group in main.app.registered_groups:
        for registered in group.typer_instance.registered_commands:
            yield [group.name, registered.name], registered


ALL = {" ".join(path): registered for path, registered in commands()}


def test_commands__are_those_that_were_promised():
    promised = ["demo", "simulate", "deploy", "audit"]
    promised += [f"key {name}" for name in ("new", "show", "fund")]
    promised += [f"worker {name}" for name in ("register", "leave", "withdraw", "rewards")]
    promised += [f"task {name}" for name in ("create", "fund", "list", "invite", "join", "leave", "end")]
    promised += ["model get"] + [f"show {name}" for name in ("task", "round", "worker", "update")]
    assert set(promised) <= set(ALL)


@pytest.mark.parametrize("name", ALL)
def test_help__explains_and_has_an_example(flare, name):
    code, out, _ = flare(*name.split(), "--help")
    assert code == 0
    assert "Example: flare " + name.split()[0] in " ".join(out.split())


@pytest.mark.parametrize(
    "name", [name for name in ALL if not name.startswith(("worker run", "worker check", "devnet"))]
)
def test_commands__all_take_json(name):
    parameters = inspect.signature(ALL[name].callback, eval_str=True).parameters
    assert "json" in parameters


@pytest.mark.parametrize("arguments", [[], ["key"], ["worker"], ["task"], ["model"], ["show"]])
def test_group_alone__shows_its_help(flare, arguments):
    code, out, err = flare(*arguments)
    assert code == 2
    assert out == ""
    assert "Commands:" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nothing"], "No such command 'nothing'"),
        (["audit", "--nothing"], "No such option"),
        (["deploy"], "name one network: --run DIR, --rpc URL or --network NAME"),
        (["deploy", "--run", "x", "--rpc", "http://127.0.0.1:1"], "name one network"),
        (["audit", "--run", "x", "--task", "0"], "greater than or equal to 1"),
        (["audit", "--run", "x", "--head", "zz"], "no block hash"),
        (["task", "create"], "Missing argument 'SPEC.toml'"),
        (["task", "fund", "--run", "x"], "Missing option '--amount'"),
        (["model", "get", "--run", "x", "--out", "y", "--round", "-1"], "greater than or equal to 0"),
    ],
)
def test_wrong_use__is_code_2_and_one_line(flare, arguments, words):
    code, out, err = flare(*arguments)
    assert code == 2
    assert out == ""
    assert words in err
    assert err.startswith("flare: ")
    assert err.count("\n") == 1
    assert "--help` shows how)" in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["deploy", "--run", "FILE"],
        ["audit", "--run", "EMPTY"],
        ["task", "list", "--run", "EMPTY"],
        ["task", "create", "FILE", "--run", "EMPTY", "--key", "dev:0"],
        ["show", "task", "--network", "none", "--deployments", "EMPTY"],
        ["key", "show", "EMPTY/none"],
        ["simulate", "EMPTY/none.toml"],
    ],
)
def test_what_a_person_must_mend__is_code_78_and_one_line(flare, tmp_path, arguments):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    places = {"EMPTY": str(tmp_path / "empty"), "FILE": str(tmp_path / "file")}
    code, out, err = flare(*[places.get(a) or a.replace("EMPTY", places["EMPTY"]) for a in arguments])
    assert code == 78
    assert out == ""
    assert err.startswith("flare: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(("branch", "code"), [(branch, code) for branch, code in EXIT_CODES.items()])
def test_errors__exit_with_the_code_of_their_branch__on_one_line(flare, monkeypatch, branch, code):
    app = typer.Typer()

    @app.command()
    def fail() -> None:
        raise branch("two\nlines")

    @app.command()
    def other() -> None: ...

    monkeypatch.setattr(main, "app", app)
    assert flare("fail") == (code, "", "flare: two lines\n")


@pytest.mark.parametrize("error", [KeyboardInterrupt, typer.Abort])
def test_interruption__is_code_130_and_says_how_to_go_on(flare, monkeypatch, error):
    app = typer.Typer()

    @app.command()
    def stop() -> None:
        raise error

    @app.command()
    def other() -> None: ...

    monkeypatch.setattr(main, "app", app)
    code, _, err = flare("stop")
    assert code == 130
    assert "run the same command again" in err


def test_shared_options__have_one_meaning_everywhere():
    for name, registered in ALL.items():
        parameters = inspect.signature(registered.callback, eval_str=True).parameters
        if "rpc" in parameters:
            assert {"run", "rpc", "network", "deployments"} <= set(parameters), name
            assert all(parameters[option].annotation == PLACE[option][0] for option in PLACE), name


def test_help__starts_fast_and_loads_nothing_heavy():
    heavy = ["torch", "web3", "matplotlib", "sklearn", "numpy", "eth", "eth_account", "rich"]
    code = "import sys, flare_offchain.cli.main\n" + f"print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
    # The processor's time, not the clock's: other work on the machine must not fail it.
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "flare_offchain.cli", "--help"], check=True, stdout=subprocess.DEVNULL, timeout=60
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.5
