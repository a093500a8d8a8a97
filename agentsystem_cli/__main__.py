"""`agentsystem`: wires the commands together, one file each."""

from __future__ import annotations

import click

from agentsystem_cli import chat, render, status


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Look at agent systems and talk to them."""


main.add_command(status.status)
main.add_command(chat.chat)
main.add_command(render.render)

if __name__ == "__main__":
    main(prog_name="agentsystem")
