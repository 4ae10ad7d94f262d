"""Commands for alerts: rules, what fires, and whom it is told."""

from typing import Annotated, Any

import typer

from astralytiq.terminal import AsJson, Limit, connected, examples, group, show, show_one

app = group("alert", "Alerts: what fires, the rules behind it, and whom it is told.")

COLUMNS = ("id", "status", "severity", "rule", "metric", "value", "created", "told", "note")
RULES = (
    "id", "name", "state", "metric", "operator", "threshold", "for", "severity", "channels",
    "enabled", "silenced_until",
)  # fmt: skip


@app.command("list")
@examples("astralytiq alert list --firing")
def list_alerts(
    context: typer.Context,
    firing: Annotated[bool, typer.Option("--firing", help="Only what fires now.")] = False,
    limit: Limit = 100,
    as_json: AsJson = False,
) -> None:
    """List alerts, newest first."""
    params: dict[str, Any] = {"limit": limit} | ({"status": "firing"} if firing else {})
    with connected(context) as client:
        found = client.get("/alerts", params=params)
    rows = found if as_json else [{**one, "created": one["started_at"]} for one in found]
    show(rows, COLUMNS, as_json=as_json, total=client.total)


@app.command("ack")
@examples("astralytiq alert ack 7 --note 'looking at the valve'")
def acknowledge(
    context: typer.Context,
    alert_id: int,
    note: Annotated[str | None, typer.Option(show_default=False)] = None,
    as_json: AsJson = False,
) -> None:
    """Say that you look after an alert."""
    body = {"note": note} if note else {}
    with connected(context) as client:
        show_one(client.post(f"/alerts/{alert_id}/acknowledge", json=body), as_json=as_json)


@app.command("rules")
@examples("astralytiq alert rules")
def list_rules(context: typer.Context, as_json: AsJson = False) -> None:
    """List the rules, and where they stand."""
    with connected(context) as client:
        found = client.every("/alerts/rules")
    told = [{**one, "channels": ", ".join(one["channels"]) or "nobody"} for one in found]
    show(found if as_json else told, RULES, as_json=as_json)


@app.command("add")
@examples(
    "astralytiq alert add 'runs fail' runs_failed_lately '>' 0 --severity critical --channel pager"
)
def add_rule(
    context: typer.Context,
    name: str,
    metric: Annotated[str, typer.Argument(help="one of `astralytiq dashboard figures`")],
    operator: Annotated[str, typer.Argument(help=">, >=, <, <=, == or !=; quote it")],
    threshold: float,
    lasting: Annotated[int, typer.Option("--for", help="seconds that it must last")] = 0,
    severity: Annotated[str, typer.Option(help="info, warning or critical")] = "warning",
    channel: Annotated[
        list[str] | None, typer.Option(help="May be given more than once.", show_default=False)
    ] = None,
    together: Annotated[
        str | None, typer.Option("--group", help="told in one message", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Add a rule. It is looked at every two seconds."""
    body: dict[str, Any] = {
        "name": name, "metric": metric, "operator": operator, "threshold": threshold,
        "for": lasting, "severity": severity, "channels": channel or [], "group": together,
    }  # fmt: skip
    with connected(context) as client:
        show_one(client.post("/alerts/rules", json=body), as_json=as_json)


@app.command("remove")
@examples("astralytiq alert remove 7")
def remove_rule(context: typer.Context, rule_id: int) -> None:
    """Delete a rule; what it has fired stays in the history."""
    with connected(context) as client:
        client.delete(f"/alerts/rules/{rule_id}")
        typer.echo(f"removed rule {rule_id}")


@app.command("silence")
@examples(
    """
    astralytiq alert silence 7 --minutes 30
    astralytiq alert silence 7 --end
    """
)
def silence_rule(
    context: typer.Context,
    rule_id: int,
    minutes: Annotated[int, typer.Option(min=1)] = 60,
    end: Annotated[bool, typer.Option("--end", help="End the silence.")] = False,
    as_json: AsJson = False,
) -> None:
    """Tell nobody of a rule for a while."""
    path = f"/alerts/rules/{rule_id}/silence"
    with connected(context) as client:
        answer = client.delete(path) if end else client.post(path, json={"minutes": minutes})
        show_one(answer, as_json=as_json)


@app.command("test")
@examples("astralytiq alert test 7 --send")
def rehearse(
    context: typer.Context,
    rule_id: int,
    send: Annotated[bool, typer.Option("--send", help="Really tell them, as a test.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show who would be told what."""
    with connected(context) as client:
        found = client.post(f"/alerts/rules/{rule_id}/test", json={"send": send})
    if as_json:
        show_one(found, as_json=True)
        return
    fires = "would fire" if found["would_fire"] else "would not fire"
    typer.echo(f"{found['metric']} is {found['value']}: it {fires}.")
    show(found["tells"], ("channel", "kind", "to", "subject", "fault"), as_json=False)


@app.command("channels")
@examples("astralytiq alert channels")
def list_channels(context: typer.Context, as_json: AsJson = False) -> None:
    """List where notifications go."""
    with connected(context) as client:
        show(client.every("/alerts/channels"), ("id", "name", "kind", "config"), as_json=as_json)


@app.command("webhook")
@examples("astralytiq alert webhook pager https://pager.example/hook")
def add_webhook(context: typer.Context, name: str, url: str, as_json: AsJson = False) -> None:
    """Add a webhook; the secret that its messages are signed with is shown this once."""
    body = {"name": name, "kind": "webhook", "url": url}
    with connected(context) as client:
        show_one(client.post("/alerts/channels", json=body), as_json=as_json)


@app.command("mail")
@examples("astralytiq alert mail on-call ops@example.com")
def add_mail(context: typer.Context, name: str, to: list[str], as_json: AsJson = False) -> None:
    """Add addresses that are told by mail."""
    body = {"name": name, "kind": "email", "to": to}
    with connected(context) as client:
        show_one(client.post("/alerts/channels", json=body), as_json=as_json)


@app.command("chat")
@examples("astralytiq alert chat team secret:slack-room")
def add_chat(
    context: typer.Context,
    name: str,
    url: Annotated[str, typer.Argument(help="secret:NAME of a kept apprise address")],
    as_json: AsJson = False,
) -> None:
    """Add a room of a chat service; keep its address with `astralytiq secret set` first."""
    body = {"name": name, "kind": "chat", "url": url}
    with connected(context) as client:
        show_one(client.post("/alerts/channels", json=body), as_json=as_json)


@app.command("unchannel")
@examples("astralytiq alert unchannel 7")
def remove_channel(context: typer.Context, channel_id: int) -> None:
    """Delete a channel that no rule uses."""
    with connected(context) as client:
        client.delete(f"/alerts/channels/{channel_id}")
        typer.echo(f"removed channel {channel_id}")
