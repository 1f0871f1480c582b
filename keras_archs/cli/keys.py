"""`keras-archs keys`: make, list and revoke the keys of the gateway."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from keras_archs import keys
from keras_archs.cli.output import JsonOption, write_json, write_table

app = typer.Typer(help="Make, list and revoke keys of the gateway.", rich_markup_mode="markdown")

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the key, for logs, traces and this command.")]
KeysOption = Annotated[
    Path,
    typer.Option(
        "--keys",
        metavar="PATH",
        envvar="KERAS_ARCHS_KEYS",
        help="File of the keys, or a folder with a file for each key.",
    ),
]
KEYS = Path("keys.json")


@app.command()
def new(
    name: Name,
    path: KeysOption = KEYS,
    model: Annotated[
        list[str] | None,
        typer.Option(metavar="MODEL", help="Model that the key may use; repeatable. All models if none is given."),
    ] = None,
    requests_per_minute: Annotated[
        int | None, typer.Option(min=1, help="Requests that may be sent with the key; else the gateway's own limit.")
    ] = None,
    mb_per_minute: Annotated[
        float | None,
        typer.Option(min=0.001, help="Megabytes (10^6 bytes) that may be sent with it; else the gateway's own limit."),
    ] = None,
    weight: Annotated[
        float, typer.Option(min=0.001, help="Share of the machine, relative to other keys in use at the same time.")
    ] = 1.0,
    days: Annotated[int | None, typer.Option(min=1, help="Days until the key expires; else it never does.")] = None,
) -> None:
    """Make a key and print it. It is shown this once: only its hash is stored.

    A running gateway accepts the key within seconds.
    """
    secret, now = keys.new_secret(), datetime.now(UTC).replace(microsecond=0)
    key = keys.Key(
        sha256=keys.sha256_of(secret),
        models=tuple(model) if model else (keys.EVERY_MODEL,),
        created=now,
        requests_per_minute=requests_per_minute,
        bytes_per_minute=None if mb_per_minute is None else int(mb_per_minute * 1e6),
        expires=None if days is None else now + timedelta(days=days),
        weight=weight,
    )
    keys.add(path, name, key)
    typer.echo(f"{name} is in {path}; keep the key below, which is not shown again", err=True)
    typer.echo(secret)


@app.command("list")
def list_(path: KeysOption = KEYS, as_json: JsonOption = False) -> None:
    """Show the keys' names and what they may do."""
    now, stored = datetime.now(UTC), keys.read(path)
    rows = [
        {
            "name": name,
            "models": list(key.models),
            "requests_per_minute": key.requests_per_minute,
            "bytes_per_minute": key.bytes_per_minute,
            "weight": key.weight,
            "created": key.created.isoformat(),
            "expires": None if key.expires is None else key.expires.isoformat(),
            "expired": key.expires is not None and key.expires <= now,
        }
        for name, key in stored.items()
    ]
    if as_json:
        write_json(rows)
        return
    write_table(
        ("name", "models", "requests/min", "MB/min", "weight", "created", "expires"),
        [
            (
                name,
                ", ".join(key.models),
                "-" if key.requests_per_minute is None else f"{key.requests_per_minute:,}",
                "-" if key.bytes_per_minute is None else f"{key.bytes_per_minute / 1e6:,g}",
                f"{key.weight:g}",
                f"{key.created:%Y-%m-%d}",
                "never" if key.expires is None else f"{key.expires:%Y-%m-%d}{' (expired)' * (key.expires <= now)}",
            )
            for name, key in stored.items()
        ],
        right=("requests/min", "MB/min", "weight"),
    )


@app.command()
def revoke(name: Name, path: KeysOption = KEYS) -> None:
    """Remove a key. A running gateway refuses it within seconds."""
    keys.remove(path, name)
    typer.echo(f"{name} is revoked")
