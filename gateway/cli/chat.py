"""`snowshed chat`: one question to a running gateway, answered as it comes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from gateway.cli import models
from gateway.cli.answer import Answer, read
from gateway.cli.lazy import examples
from gateway.cli.output import harmless, json_option, print_json
from gateway.cli.remote import Remote, remote, remote_options
from gateway.cli.trouble import Mistake, Trouble


@click.command(
    epilog=examples(
        'snowshed chat "Why is the sky blue?"',
        "git diff | snowshed chat -m coder --system 'Review this change.' -",
        "snowshed chat --url https://llm.example.org --key-file ~/.snowshed-key -v hello",
    )
)
@click.argument("prompt")
@click.option("-m", "--model", metavar="NAME", help="Which model; without one, the first that the gateway lists.")
@click.option("-s", "--system", metavar="TEXT", help="What the model is told before the prompt.")
@click.option("-v", "--verbose", is_flag=True, help="Tell tokens and times on standard error.")
@json_option
@remote_options
def command(  # noqa: PLR0913  # an option each
    *, prompt: str, model: str | None, system: str | None, verbose: bool, as_json: bool, url: str, key_file: Path | None
) -> None:
    """Ask a running gateway PROMPT, and print the answer as it comes.

    PROMPT `-` reads standard input. Ctrl-C cancels: the model server stops, too.
    """
    gateway = remote(url, key_file, os.environ.get("SNOWSHED_API_KEY", ""))
    messages = [{"role": "system", "content": system}] if system else []
    messages.append({"role": "user", "content": _standard_input() if prompt == "-" else prompt})
    answer = Answer(model or _first(gateway))
    on_terminal = sys.stdout.isatty()
    try:
        for text in read(gateway, messages, answer):
            if not as_json:
                sys.stdout.write(harmless(text) if on_terminal else text)  # click would take out what a pipe may have
                sys.stdout.flush()
    finally:
        if answer.text and not as_json:
            click.echo()
    if as_json:
        print_json(answer.document())
    if verbose:
        click.secho(answer.summary(), dim=True, err=True)


def _first(gateway: Remote) -> str:
    names = [model["id"] for model in models.ask(gateway)]
    if not names:
        raise Trouble("The gateway lists no models for you.")
    return str(names[0])


def _standard_input() -> str:
    try:
        text = sys.stdin.buffer.read().decode("utf-8")
    except UnicodeDecodeError:
        raise Mistake("Standard input is not UTF-8.") from None
    if not text.strip():
        raise Mistake("Standard input is empty: there is nothing to ask.")
    return text
