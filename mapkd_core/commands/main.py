"""The `mapkd` command: one sub-command per job, each in its own module, imported only when it is called."""
from __future__ import annotations

import errno
import importlib
import io
import signal
import sys

from mapkd_core import __version__
from mapkd_core.commands.interruption import Interruption, let_go_of_stdout, stdout_is_gone
from mapkd_core.extras import how_to_install

TYPE_CHECKING = False  # what is imported here is time in which a signal ends in a traceback
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

COMMANDS: dict[str, tuple[str, str]] = {
    "train": ("mapkd_core.commands.train", "train a network from a config, or resume it"),
    "distill": ("mapkd_core.commands.distill", "train a student that imitates a frozen teacher"),
    "import": ("mapkd_core.commands.import_weights", "turn a paper's published checkpoint into an artifact"),
    "export": ("mapkd_core.commands.export", "turn a training run into the artifact that is deployed"),
    "sim": ("mapkd_core.commands.sim", "simulated drives: show, export in nuScenes' format, contact sheet"),
    "cache": ("mapkd_core.commands.cache", "pack frames into fast, streamable training shards"),
    "masks": ("mapkd_core.commands.masks", "what the pixels of real images show, by two published segmenters"),
    "bag": ("mapkd_core.commands.bag", "write a drive as a rosbag2, or repair one, without ROS"),
    "evaluate": ("mapkd_core.commands.evaluate", "score a network or a file of predictions: IoU, AP, images"),
    "predict": ("mapkd_core.commands.predict", "images, a bag or a data root to overview images and elements"),
    "view": ("mapkd_core.commands.view", "what the network sees, in rerun's viewer: images, map, truth, latency"),
    "render": ("mapkd_core.commands.render", "a video of a drive: the map on all images and from above, truth beside"),
    "map": ("mapkd_core.commands.map", "the street map of one or more drives, from bags or from maps"),
    "report": ("mapkd_core.commands.report", "write one HTML file about a trained model, or several side by side"),
    "benchmark": ("mapkd_core.commands.benchmark", "measure this software on this machine"),
}
"""name -> (module, one line for --help). The module offers `configure(parser)` and `run(args) -> int`;
with TAKES_OVERRIDES = True, what the parser does not know arrives as `args.overrides`; EXTRA names the pip extra that
brings all it needs. A module that offers a table COMMANDS of its own has sub-commands, beside its own `run` if any."""

_FULL = "free some space and run the same command again"
_FORBIDDEN = "choose a place that you may write to"
REMEDIES = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: "raise the limit of a file's size (ulimit -f), or choose another place",
    errno.EROFS: _FORBIDDEN,
    errno.EACCES: "allow it, or choose another place",
    errno.EPERM: "allow it, or choose another place",
    errno.EISDIR: "expected a file: name one in it",
    errno.ENOTDIR: "expected a folder above it, and one of these names is a file",
}
"""What helps when the operating system refuses."""


def main(argv: Sequence[str] | None = None, last: bool = False) -> int:
    """Runs one sub-command; a user's mistake ends with one line on stderr and exit code 2, not a traceback.

    With `last` nothing comes after it in this process, and signals end that at once; else their handlers come back.
    """
    with Interruption("mapkd", keep=last) as interruption:
        try:
            try:
                if isinstance(sys.stdout, io.TextIOWrapper):  # names of files need not be UTF-8, nor a terminal
                    sys.stdout.reconfigure(errors="backslashreplace")
                arguments = list(sys.argv[1:] if argv is None else argv)
                if arguments == ["--version"]:
                    print(f"mapkd {__version__}")
                    return 0
                return _dispatch("mapkd", COMMANDS, arguments, interruption)
            finally:  # also when argparse exits after --help
                if sys.stdout is not None:  # as with contextlib.redirect_stdout(None)
                    sys.stdout.flush()
        except BrokenPipeError:
            let_go_of_stdout()
            return 128 + signal.SIGPIPE


def _dispatch(
    prog: str, commands: Mapping[str, tuple[str, str]], arguments: Sequence[str], interruption: Interruption
) -> int:
    width = max((len(name) for name in commands), default=0)
    listing = "\n".join(f"  {name:<{width}}  {line}" for name, (_, line) in commands.items())
    if not arguments or arguments[0] in ("-h", "--help"):
        print(f"usage: {prog} COMMAND [options]\n\n{listing}\n\n`{prog} COMMAND --help` shows options and an example.")
        return 0 if arguments else 2
    name = arguments[0]
    if name not in commands:
        print(f"{prog}: no command {name!r}; there are:\n{listing}", file=sys.stderr)
        return 2
    interruption.name = f"{prog} {name}"
    module = None
    try:
        module = importlib.import_module(commands[name][0])
        below = getattr(module, "COMMANDS", {})
        if below and (not hasattr(module, "run") or (arguments[1:2] and arguments[1] in below)):
            return _dispatch(f"{prog} {name}", module.COMMANDS, arguments[1:], interruption)
        options = _parsed(module, f"{prog} {name}", arguments[1:])
        interruption.begun = True
        return int(module.run(options) or 0)
    except ModuleNotFoundError as error:
        remedy = how_to_install(error.name, getattr(module, "EXTRA", ""))
        if remedy is None:
            raise
        print(f"{prog} {name}: needs {error.name}; {remedy}", file=sys.stderr)
        return 2
    except OSError as error:
        if isinstance(error, BrokenPipeError) and stdout_is_gone():
            raise
        print(f"{prog} {name}: {_os_error(error)}", file=sys.stderr)
        return 2
    except ValueError as error:
        print(f"{prog} {name}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{prog} {name}: {interruption.word}", file=sys.stderr)
        return interruption.exit_code


def _parsed(module: Any, prog: str, arguments: Sequence[str]) -> Any:
    """The options of a command."""
    import argparse

    parser = argparse.ArgumentParser(
        prog=prog,
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,  # an abbreviation could swallow a key of the config
    )
    module.configure(parser)
    if not arguments and getattr(module, "TAKES_OVERRIDES", False):
        parser.print_help()  # nobody means to start a run of 10,000 steps by this
        raise SystemExit(2)
    if hasattr(module, "config_class") and {"-h", "--help"} & set(arguments):
        from mapkd_core.config_keys import keys_of

        lines = [f"  --{key.name} {key.shown_default()}".rstrip() for key in keys_of(module.config_class())]
        parser.epilog = "keys of the config, with their defaults:\n" + "\n".join(lines)
    options, rest = parser.parse_known_args(arguments)
    if getattr(module, "TAKES_OVERRIDES", False):
        options.overrides = rest
    elif rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    return options


def _os_error(error: OSError) -> str:
    """What the operating system refused, where, and what helps."""
    if error.errno is None or error.strerror is None:
        return str(error)
    place = f"{error.filename}: " if error.filename is not None else ""
    remedy = REMEDIES.get(error.errno)
    return f"{place}{error.strerror}" + (f"; {remedy}" if remedy else "")


if __name__ == "__main__":
    sys.exit(main(last=True))
