"""`toolkit studio`: a Label Studio of one's own, from the command line."""

from __future__ import annotations

from typing import Annotated

import typer

from toolkit.cli.options import JsonOption
from toolkit.cli.terminal import result, say
from toolkit.errors import UsageError

studio_app = typer.Typer(help="Run a Label Studio on this machine alone.", no_args_is_help=True)


@studio_app.command("start")
def studio_start(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 takes a free one.")
    ] = 0,
    models: Annotated[
        bool,
        typer.Option(
            "--models", help="Let it ask models on this machine; its users can then reach any port."
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Start the local Label Studio; again gives the same one.

    The first start installs it into an environment of its own and makes its database: SQLite, or the
    tables in the PostgreSQL database named by TOOLKIT_STUDIO_DATABASE
    (postgresql://user:password@host:port/name).
    """
    from toolkit import studio

    server = studio.start(port=port, models=models, say=say)
    told = {
        "url": server.url,
        "pid": server.pid,
        "email": server.email,
        "database": server.database,
        "models": server.models,
    }
    text = f"{server.url}\nlog in as {server.email} with {server.password}"
    result(told, as_json=as_json, text=f"{text}\nstop it with: toolkit studio stop")


@studio_app.command("stop")
def studio_stop(as_json: JsonOption = False) -> None:
    """Stop the local Label Studio; its data stay."""
    from toolkit import studio

    stopped = studio.stop()
    result({"stopped": stopped}, as_json=as_json, text="stopped" if stopped else "was not running")


@studio_app.command("status")
def studio_status(as_json: JsonOption = False) -> None:
    """Say whether the local Label Studio runs, and where."""
    from toolkit import studio

    server = studio.status()
    told = {
        "running": server.running,
        "url": server.url if server.running else None,
        "pid": server.pid,
        "database": server.database,
    }
    text = f"{server.url}, data in {server.database}" if server.running else "not running"
    result(told, as_json=as_json, text=text)


@studio_app.command("invite")
def studio_invite(
    pseudonyms: Annotated[
        list[str],
        typer.Argument(metavar="PSEUDONYM...", help="Names that stand in records, such as a1 a2."),
    ],
    as_json: JsonOption = False,
) -> None:
    """Make annotators' logins on the local Label Studio."""
    from toolkit import studio

    server = studio.status()
    if not server.running:
        raise UsageError("the local Label Studio is not running; start it: toolkit studio start")
    people = [studio.invite(server, pseudonym) for pseudonym in dict.fromkeys(pseudonyms)]
    # Passwords are for the person at the terminal; what programs print is kept.
    listed = [{"pseudonym": person.pseudonym, "email": person.email} for person in people]
    lines = [f"log in as {person.email} with {person.password}" for person in people]
    text = "\n".join([server.url, *lines])
    result({"url": server.url, "people": listed}, as_json=as_json, text=text)
