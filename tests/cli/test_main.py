"""What holds for every command: help, statuses, pipes, interrupts, terminals."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from oms_sync.cli import output
from oms_sync.cli.main import app

COMMANDS = """accounts list|accounts show|accounts test|accounts pause|accounts resume
accounts preview|orders list|orders show|orders hold|orders release|orders import|orders export
orders refetch|ship|shipments import|stock list|stock show|stock explain|stock set|stock adjust
stock receive|stock import|stock export|listings list|listings discover|listings link
listings unlink|listings import|listings export|listings push|inbox list|inbox show|inbox replay
inbox drop|dead-letters list|dead-letters show|dead-letters replay|dead-letters drop
ledger verify|db upgrade|connectors list|connectors new
connectors check|init|check|config schema|run|demo|sandbox"""


def leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    children = getattr(command, "commands", {})
    for name, child in children.items():
        yield from leaves(child, (*path, name))
    if not children:
        yield " ".join(path), command


ALL = dict(leaves(typer.main.get_command(app)))


def test_every_promised_command_is_there():
    promised = {name.strip() for name in COMMANDS.replace("\n", "|").split("|")}
    assert promised <= set(ALL)


@pytest.mark.parametrize("name", sorted(ALL))
def test_the_help_of_a_command_tells_of_all_its_options(name):
    result = CliRunner(env={"COLUMNS": "100"}).invoke(app, [*name.split(), "--help"])
    assert result.exit_code == 0
    for parameter in ALL[name].params:
        for option in parameter.opts:
            if option.startswith("--"):
                assert option in result.stdout
    for word in ("list", "show"):
        if name.endswith(f" {word}"):
            assert "--json" in result.stdout


def test_the_version_is_one_line():
    assert CliRunner().invoke(app, ["--version"]).stdout.startswith("oms-sync 0")


def test_wrong_usage_has_status_2():
    assert CliRunner().invoke(app, ["nonsense"]).exit_code == 2
    assert CliRunner().invoke(app, ["stock", "set"]).exit_code == 2
    assert CliRunner().invoke(app, ["sandbox", "shopify", "--limits", "some"]).exit_code == 2


def test_an_unknown_sandbox_is_refused():
    result = CliRunner().invoke(app, ["sandbox", "nonsense"])
    assert result.exit_code == 1
    assert "no connector 'nonsense'" in result.stderr


def start(*args, **more):
    return subprocess.Popen(
        [sys.executable, "-m", "oms_sync", *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **more,
    )


@pytest.mark.slow
def test_a_sandbox_says_how_to_connect_and_leaves_on_ctrl_c():
    from ruamel.yaml import YAML

    process = start("sandbox", "shopify")
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "truth" in line:
            break
    entry = YAML(typ="safe").load("".join(line for line in lines if not line.startswith("#")))
    assert entry["accounts"][0]["connector"] == "shopify"
    assert entry["accounts"][0]["endpoint"].startswith("http://127.0.0.1:")
    assert sum("/_sandbox/seed/" in line for line in lines) == 2
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=15)
    assert "Traceback" not in errors


@pytest.mark.slow
def test_a_pipe_whose_reader_has_gone_is_no_traceback():
    reading, writing = os.pipe()
    os.close(reading)
    process = subprocess.run(
        [sys.executable, "-m", "oms_sync", "config", "schema"],
        stdout=writing, stderr=subprocess.PIPE, text=True, timeout=30, check=False,
    )  # fmt: skip
    os.close(writing)
    assert (process.returncode, process.stderr) == (141, "")


@pytest.mark.slow
def test_an_interrupt_is_no_traceback(tmp_path):
    fifo = tmp_path / "oms-sync.yaml"
    os.mkfifo(fifo)
    process = start("check", "--config", str(fifo))
    writing = os.open(fifo, os.O_WRONLY)  # returns once the command reads, and waits for us
    process.send_signal(signal.SIGINT)
    printed, errors = process.communicate(timeout=15)
    os.close(writing)
    assert (process.returncode, printed, errors) == (130, "", "")


@pytest.mark.proves("A41")
def test_text_from_outside_cannot_steer_the_terminal(capsys):
    output.say("a\x1b[31mb\nc\u202ed")
    rows = [{"sku": "[bold]x[/bold] :smile: \x1b]0;y\x07"}]
    output.show_table({"sku": "SKU"}, rows, none="")
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert "\u202e" not in printed
    assert "a�[31mb�c�d" in printed
    assert "[bold]x[/bold] :smile:" in printed


def test_a_table_fits_the_page_and_cuts_nothing(capsys):
    rows = [{"one": "x" * 150, "two": "y" * 40, "number": 12}]
    output.show_table({"one": "one", "two": "two", "number": "n#"}, rows, none="")
    printed = capsys.readouterr().out
    assert max(len(line) for line in printed.splitlines()) <= 100
    assert printed.count("x") == 150
    assert "…" not in printed


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        (True, "yes"),
        ([1, None], "1, –"),
        ({"a": 1}, "a=1"),
        ("2026-05-01T12:30:00.5Z", "2026-05-01 12:30:00"),
        ("2026-xx-01T12:30:00.000Z", "2026-xx-01T12:30:00.000Z"),
        (0, "0"),
    ],
)
def test_a_cell_reads_as_a_person_would_write_it(value, shown):
    assert output.cell_text(value) == shown


def test_long_work_is_plain_lines_away_from_a_terminal(capsys):
    with output.long_work("reading", total=2) as progress:
        progress(2)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "reading …\nreading: 2 done\n"


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "a.csv"

    def broken():
        yield "a"
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        output.write_text(broken(), path)
    assert list(tmp_path.iterdir()) == []
    output.write_text(["a", "b"], path)
    output.write_text(["c"], path)
    assert path.read_text(encoding="utf-8") == "c"
    assert [one.name for one in tmp_path.iterdir()] == ["a.csv"]


def test_json_keeps_letters_as_they_are(capsys):
    output.show_json({"sku": "MUG-☕"})
    printed = capsys.readouterr().out
    assert "☕" in printed
    assert json.loads(printed) == {"sku": "MUG-☕"}
