"""`oms-sync inbox …` and `oms-sync dead-letters …`."""

import json
from typing import Annotated, Any

import typer

from oms_sync.cli.desk import command_context, open_desk
from oms_sync.cli.output import (
    Json,
    Reveal,
    note,
    say,
    show_facts,
    show_heading,
    show_json,
    show_table,
)
from oms_sync.flows.commands.context import CommandRefused

app = typer.Typer(help="Every message that came in, and what became of it.", no_args_is_help=True)
dead_letters = typer.Typer(
    help="Messages that failed for good; nothing else waited for them.", no_args_is_help=True
)

LIMIT_DEFAULT = 100
LIMIT_MAX = 10_000

Message = Annotated[str, typer.Argument(metavar="MESSAGE", help="The message's id.")]
Messages = Annotated[list[str], typer.Argument(metavar="MESSAGE...", help="Ids of messages.")]
Chosen = Annotated[
    list[str] | None, typer.Argument(metavar="[MESSAGE]...", help="Ids of dead letters.")
]
All = Annotated[bool, typer.Option("--all", help="Every dead letter, or every one of --account.")]
Account = Annotated[str | None, typer.Option("--account", help="Only those of this account.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; kept with the message.")]
Limit = Annotated[int, typer.Option("--limit", help="At most so many.", min=1, max=LIMIT_MAX)]

_COLUMNS = {
    "id": "message",
    "account": "account",
    "topic": "topic",
    "source": "came by",
    "channel_order_id": "channel order",
    "received_at": "received",
    "state": "state",
}


@app.command("list")
def list_messages(
    context: typer.Context,
    account: Account = None,
    state: Annotated[
        str | None, typer.Option("--state", help="Only messages in this state, such as new.")
    ] = None,
    limit: Limit = LIMIT_DEFAULT,
    as_json: Json = False,
) -> None:
    """List messages, newest first."""
    with open_desk(context) as desk:
        found = desk.reports.inbox(account=account, state=state, limit=limit)
    if as_json:
        show_json(found)
        return
    show_table(_COLUMNS, found, none="no such messages")


@app.command("show")
def show_message(
    context: typer.Context, message: Message, reveal: Reveal = False, as_json: Json = False
) -> None:
    """Show what is known of a message; with --reveal its very bytes."""
    from oms_sync.flows.commands.inbox import record_reveal

    with open_desk(context) as desk:
        found: dict[str, Any] = desk.reports.message(message, reveal=False)
        if reveal:
            record_reveal(command_context(desk), message, account=found["account"])
            found = desk.reports.message(message, reveal=True)
    if as_json:
        show_json(found)
        return
    show_facts({name: value for name, value in found.items() if name != "body"})
    if reveal:
        show_heading("Body")
        say(_pretty(found.get("body")))


def _pretty(body: Any) -> str:
    """The body as text, indented where it is JSON; line by line safe to print."""
    if body is None:
        return "its bytes were destroyed, with the personal data in them"
    try:
        body = json.dumps(json.loads(body), indent=1, ensure_ascii=False)
    except (ValueError, TypeError, RecursionError):
        body = str(body)
    return str(body).replace("\n", " ⏎ ")


@app.command("replay")
def replay_messages(context: typer.Context, messages: Messages) -> None:
    """Work messages off once more; what was merged already changes nothing."""
    from oms_sync.flows.commands.inbox import replay

    with open_desk(context) as desk:
        count = replay(command_context(desk), messages)
    say(f"{count} messages will be worked off again")


@app.command("drop")
def drop_messages(context: typer.Context, messages: Messages, reason: Reason) -> None:
    """Take waiting or failed messages out for good."""
    from oms_sync.flows.commands.inbox import drop

    with open_desk(context) as desk:
        count = drop(command_context(desk), messages, reason=reason)
    say(f"{count} messages dropped")


@dead_letters.command("list")
def list_dead_letters(
    context: typer.Context,
    account: Account = None,
    limit: Limit = LIMIT_DEFAULT,
    as_json: Json = False,
) -> None:
    """List dead letters with the reason each failed for."""
    with open_desk(context) as desk:
        found = desk.reports.dead_letters(account=account, limit=limit)
    if as_json:
        show_json(found)
        return
    columns = {name: _COLUMNS[name] for name in ("id", "account", "channel_order_id")}
    columns |= {"received_at": "received", "reason": "reason"}
    show_table(columns, found, none="no dead letters")


dead_letters.command("show")(show_message)


@dead_letters.command("replay")
def replay_dead_letters(
    context: typer.Context, messages: Chosen = None, is_all: All = False, account: Account = None
) -> None:
    """Try dead letters again, after their cause was mended."""
    from oms_sync.flows.commands.inbox import replay

    with open_desk(context) as desk:
        ids = _chosen(desk, messages, is_all=is_all, account=account)
        count = replay(command_context(desk), ids)
    say(f"{count} dead letters will be tried again")


@dead_letters.command("drop")
def drop_dead_letters(
    context: typer.Context,
    reason: Reason,
    messages: Chosen = None,
    is_all: All = False,
    account: Account = None,
) -> None:
    """Give dead letters up for good; bytes and reason are kept."""
    from oms_sync.flows.commands.inbox import drop

    with open_desk(context) as desk:
        ids = _chosen(desk, messages, is_all=is_all, account=account)
        count = drop(command_context(desk), ids, reason=reason)
    say(f"{count} dead letters dropped")


def _chosen(
    desk: Any, messages: list[str] | None, *, is_all: bool, account: str | None
) -> list[str]:
    """The ids meant; refuses an id that is no dead letter."""
    if bool(messages) == is_all:
        raise typer.BadParameter("name dead letters, or say --all")
    dead = [one["id"] for one in desk.reports.dead_letters(account=account, limit=LIMIT_MAX)]
    if messages:
        strangers = sorted(set(messages) - set(dead))
        if strangers:
            raise CommandRefused(f"no dead letters: {', '.join(strangers[:10])}")
        return messages
    if not dead:
        raise CommandRefused("there are no dead letters")
    if len(dead) == LIMIT_MAX:
        note(f"only the first {LIMIT_MAX}; repeat the command for the rest")
    return dead
