"""`oms-sync accounts authorize`, `adopt`, `subscribe`: what is set up at the channel, once."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from oms_sync.cli.desk import check_of, command_context, open_desk, own_session
from oms_sync.cli.output import Json, say, show_json
from oms_sync.flows.commands.context import CommandRefused

if TYPE_CHECKING:
    from oms_sync.bootstrap import Desk
    from oms_sync.flows.commands.consent import Trial
    from oms_sync.runtime.sessions import AccountWiring
    from oms_sync.sdk import AccountCheck

Account = Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account's name.")]


def add_to(app: typer.Typer) -> None:
    """Put these commands into the group `accounts`."""
    app.command("authorize")(authorize)
    app.command("adopt")(adopt)
    app.command("subscribe")(subscribe)


def authorize(
    context: typer.Context,
    account: Account,
    answer: Annotated[
        str | None,
        typer.Option(
            "--answer",
            help="The code, or the whole address the browser ended at; - reads it from standard "
            "input.",
        ),
    ] = None,
    is_adopting: Annotated[
        bool,
        typer.Option(
            "--adopt", help="With --answer: whatever shop it opens is the account's from now on."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Let the hub into an account: prints the channel's page, then takes its answer."""
    from oms_sync.flows.commands import consent as acts

    with open_desk(context) as desk:
        trial = _trial(desk, account, is_adopting=is_adopting)
        if answer is None:
            url = acts.ask(command_context(desk), account, consent=trial.consent)
            _show_page(account, url, as_json=as_json)
            return
        text = typer.get_text_stream("stdin").readline() if answer == "-" else answer
        acts.answer(command_context(desk), account, text, trial=trial)
    if as_json:
        show_json({"account": account, "authorised": True})
    else:
        say(f"account {account} is authorised: oms-sync accounts test {account}")


def _show_page(account: str, url: str, *, as_json: bool) -> None:
    follow_up = f"oms-sync accounts authorize {account} --answer -"
    if as_json:
        show_json({"account": account, "open": url, "then": follow_up})
        return
    say(url)
    say("Open this page as the account's owner and agree. Within the hour, run")
    say(f"  {follow_up}")
    say("and paste the address the browser ended at.")


def _trial(desk: "Desk", account: str, *, is_adopting: bool) -> "Trial":
    """The account's consent, its new tokens kept from everybody else until they were looked at."""
    from oms_sync.flows.commands.consent import Trial
    from oms_sync.runtime.trial_tokens import TrialTokens

    _check_configured(desk, account)
    tokens = TrialTokens(desk.storage.tokens(account))
    wiring = desk.wire(account, tokens=lambda _: tokens)
    if wiring.consent is None:
        raise CommandRefused(
            f"the connector of {account} asks for no consent: its credentials stand in "
            "the configuration"
        )

    def check() -> "AccountCheck | None":
        session = wiring.open()
        try:
            return check_of(desk, account, session)
        finally:
            session.close()

    return Trial(consent=wiring.consent(), check=check, keep=tokens.keep, is_adopting=is_adopting)


def adopt(context: typer.Context, account: Account, as_json: Json = False) -> None:
    """Make an account the shop its credentials open, though it was another one before."""
    from oms_sync.flows.commands.accounts import adopt as act

    with open_desk(context) as desk:
        _check_configured(desk, account)
        session = desk.open_session(account)
        try:
            check = check_of(desk, account, session)
        finally:
            session.close()
        if check is None:
            raise CommandRefused(f"the connector of {account} cannot tell whose account it opened")
        act(command_context(desk), account, check)
    if as_json:
        show_json({"account": account, "channel_account_id": check.channel_account_id})
    else:
        say(f"account {account} is {check.channel_account} ({check.channel_account_id}) now")


def subscribe(context: typer.Context, account: Account, as_json: Json = False) -> None:
    """Have the channel tell of changes now, by webhooks, a queue, or both; safe to repeat."""
    with open_desk(context) as desk:
        wiring = _wired(desk, account)
        if wiring.profile.mode == "shadow":
            raise CommandRefused(
                f"account {account} is in mode shadow: nothing is written; set `mode: live`"
            )
        with own_session(desk, account) as session:
            made = _ensure_all(desk, wiring, session)
    if as_json:
        show_json({"account": account, **made})
        return
    for kind, topics in made.items():
        listed = ", ".join(topics) if topics else "all topics were there"
        say(f"{kind}: {listed}")


def _wired(desk: "Desk", account: str) -> "AccountWiring":
    """Everything of a configured account of a channel; refuses others."""
    _check_configured(desk, account)
    return desk.wire(account)


def _check_configured(desk: "Desk", account: str) -> None:
    command_context(desk).profile(account)
    if all(one.name != account for one in desk.settings.accounts):
        raise CommandRefused(f"account {account} takes orders from files, there is no channel")


def _ensure_all(desk: "Desk", wiring: "AccountWiring", session: Any) -> dict[str, list[str]]:
    """Every way the account can be told by: the topics made anew of each."""
    from oms_sync.flows import subscriptions
    from oms_sync.runtime.metrics import NullMetrics
    from oms_sync.sdk import Capability

    url, capabilities = wiring.webhook_url, wiring.manifest.capabilities
    ways: dict[str, tuple[str, Callable[[], tuple[str, ...]]]] = {}
    if Capability.RECEIVE_WEBHOOKS in capabilities and url is not None:
        ways[subscriptions.WEBHOOKS] = (url, lambda: tuple(session.ensure_subscriptions(url)))
    if Capability.PULL_NOTIFICATIONS in capabilities and session.has_queue():
        ways[subscriptions.QUEUE] = ("", lambda: tuple(session.subscribe_queue()))
    if not ways:
        raise CommandRefused(_why_polled_only(wiring.profile.name, capabilities))
    made = {}
    for kind, (target, ask) in ways.items():
        subscribing = subscriptions.Subscribing(
            account=wiring.profile.name, kind=kind, target=target, ask=ask
        )
        seen = subscriptions.ensure(
            subscribing, open_work=desk.open_work, clock=desk.clock, metrics=NullMetrics()
        )
        made[kind] = sorted(seen.topics)
    return made


def _why_polled_only(account: str, capabilities: frozenset[str]) -> str:
    from oms_sync.sdk import Capability

    if Capability.RECEIVE_WEBHOOKS in capabilities:
        return f"account {account} only polls: set web.public_url to where channels reach this hub"
    if Capability.PULL_NOTIFICATIONS in capabilities:
        return f"account {account} only polls: name its queue under its settings"
    return f"account {account} only polls: its channel tells of nothing"
