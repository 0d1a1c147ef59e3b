"""python -m stages.bank add|list|remove: the trained runs in a bank, for `stages.generate` and the server."""

import argparse
from pathlib import Path

from stages.core.startup import model_imports

with model_imports():
    from stages import params
    from stages.card import card
    from stages.core.errors import entry_point
    from stages.methods.parts.given import RUN
    from stages.serving.bank import Bank, PrefixBank, bytes_of, entry_of
    from stages.serving.opened import open_base


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m stages.bank", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    add = commands.add_parser("add", help="copy a trained run into the bank; one of that name is replaced")
    add.add_argument("bank", type=Path)
    add.add_argument("name")
    add.add_argument("run", type=Path, nargs="?", default=RUN, help=f"its directory (default: {RUN})")
    add.add_argument("--license", metavar="ID", help="of the run, as the hub names it (default: not known)")
    add.set_defaults(act=add_run)
    shown = commands.add_parser("list", help="the names, a line each")
    shown.add_argument("bank", type=Path)
    shown.set_defaults(act=list_runs)
    remove = commands.add_parser("remove", help="delete a run from the bank")
    remove.add_argument("bank", type=Path)
    remove.add_argument("name")
    remove.set_defaults(act=remove_run)
    return parser.parse_args()


def add_run(chosen: argparse.Namespace) -> None:
    settings = params.load()
    lm = open_base(entry_of(chosen.run).base_model, settings.revision, settings.threads)
    bank = PrefixBank(chosen.bank, lm, 0)
    bank.add(chosen.name, chosen.run, card(chosen.run, license=chosen.license))
    size = bytes_of(bank.get(chosen.name)) / 1024
    print(f"{chosen.name}: {size:,.1f} KB of keys and values, or of vectors, for {lm.name}")


def list_runs(chosen: argparse.Namespace) -> None:
    for entry in Bank(chosen.bank).entries():
        tokens = "" if entry.tokens is None else f", {entry.tokens} virtual tokens"
        print(f"{entry.name}: {entry.method}{tokens}, of {entry.base_model}")


def remove_run(chosen: argparse.Namespace) -> None:
    Bank(chosen.bank).remove(chosen.name)


@entry_point
def main() -> None:
    chosen = arguments()
    chosen.act(chosen)


if __name__ == "__main__":
    main()
