"""The command line: `python -m emo2 COMMAND`.

    animate gesture render            a portrait and speech to a film, in one go or in two
    gallery                           contact sheets of many portraits
    preview edit check convert        see, change, check and carry a motion
    doctor                            what works on this machine
    weights                           fetch weight sets, list those that are here
    corpus train evaluate             the workshop; each has its own --help

Each command is a function from parsed arguments to a dictionary of facts; `--json` prints these as
one line. Exit codes: 0 done, 1 `doctor` found something missing or `check` found errors (with
`--strict`: warnings too), 2 bad input (one line says what), 130 stopped with Ctrl-C.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import warnings
from importlib import import_module

from emo2.cli.inputs import refuse_what_cannot_work
from emo2.cli.parser import WORKSHOPS, build_parser, workshop
from emo2.cli.progress import Bars
from emo2.errors import InputError

__all__ = ["WORKSHOPS", "main"]


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    argv = sys.argv[1:] if argv is None else argv
    module = workshop(argv)
    if module is not None:
        try:
            return import_module(module).main(argv[2:]) or 0
        except InputError as error:
            print(f"emo2: error: {error}", file=sys.stderr)
            return 2
    parser = build_parser()
    arguments = parser.parse_args(argv)
    if arguments.command in WORKSHOPS:
        parser.error(f"{arguments.command} needs one of {list(WORKSHOPS[arguments.command])}")
    _quiet_libraries()
    bars = Bars(quiet=arguments.json)
    try:
        refuse_what_cannot_work(arguments)
        facts = arguments.run(arguments, bars)
        lines = facts.pop("lines", [])
    except InputError as error:
        print(f"emo2: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("emo2: stopped", file=sys.stderr)
        return 130
    finally:
        bars.close()
    if arguments.json:
        asked = ("command", "checkpoint", "seed", "out")
        general = {name: vars(arguments)[name] for name in asked if name in arguments}
        print(json.dumps(general | facts | {"seconds": bars.seconds}, default=str))
    else:
        for line in [*(f"note: {note}" for note in facts.get("notes", ())), *lines]:
            print(line)
        if getattr(arguments, "out", None) is not None:
            print(arguments.out)
    return 0 if facts.get("ok", True) else 1


def _quiet_libraries() -> None:
    """Keep the terminal for what the person asked for: no warnings, no bars of loading."""
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    from diffusers.utils.logging import disable_progress_bar

    disable_progress_bar()
    warnings.filterwarnings("ignore")
    for name in ("transformers", "diffusers", "huggingface_hub"):
        logging.getLogger(name).setLevel(logging.ERROR)
