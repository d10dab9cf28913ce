"""The command line: finds the command, and turns whatever goes wrong into one line and an exit status.

Whatever is slow to import is imported where it is used: `propainter --help` and a mistyped option answer at once.
"""

import importlib.metadata
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

import cyclopts

from flows.commands.bench import bench
from flows.commands.cache import cache_app
from flows.commands.demo import demo
from flows.commands.evaluate import evaluate
from flows.commands.flows import flows
from flows.commands.inpaint import inpaint
from flows.commands.prepare import prepare
from flows.commands.server import server_app
from flows.commands.terminal import console
from flows.commands.tune import tune
from flows.commands.weights import weights_app
from propainter.core.errors import ProPainterError, ServerLostError
from propainter.runtime.allocator import bound_kernel_caches, share_one_heap

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130

app = cyclopts.App(
    name="propainter",
    help="Remove objects from video, resumably.",
    version_flags=["--version"],
    version=importlib.metadata.version("propainter-pipeline"),
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)
for command in (inpaint, demo, evaluate, flows, prepare, tune, bench, cache_app, weights_app, server_app):
    app.command(command)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command; the process leaves with its exit status."""
    share_one_heap()
    bound_kernel_caches()
    signal.signal(signal.SIGTERM, _interrupt)
    _quieten_console()
    try:
        status = app(
            _with_dashes(sys.argv[1:] if arguments is None else arguments), exit_on_error=False, print_error=False
        )
    except cyclopts.CycloptsError as error:
        status = _fail(_usage(error))
    except ServerLostError as error:
        _leave_at_once(_fail(str(error)))
    except ProPainterError as error:
        status = _fail(str(error))
    except OSError as error:
        status = _fail(f"{error.filename or 'a file'}: {error.strerror or error}. Give a place that can be used.")
    except KeyboardInterrupt:
        console.print("Stopped. What is finished is kept: run the same command again to go on.", style="yellow")
        status = EXIT_INTERRUPTED
    sys.exit(status if isinstance(status, int) else 0)


def _usage(error: cyclopts.CycloptsError) -> str:
    """What is wrong with the options, in one line."""
    if isinstance(error, cyclopts.MissingArgumentError) and error.argument is not None:
        return f"{error.argument.name} is missing. See propainter --help for how to give it."
    if isinstance(error, cyclopts.UnusedCliTokensError):
        return f"There is nothing to do with {' '.join(error.unused_tokens or [])}. See propainter --help."
    return str(error).splitlines()[0]


def _fail(message: str) -> int:
    console.quiet = False
    console.print(f"error: {message}", style="red", markup=False, soft_wrap=True)
    return EXIT_BAD_INPUT


def _leave_at_once(status: int) -> NoReturn:
    """Without what an interpreter waits for at its end: Prefect would try for long to send what nobody takes."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _quieten_console() -> None:
    """Errors reach the user through us, in one line; Prefect's own account of them goes to its server."""
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    os.environ.setdefault("PREFECT_INTERNAL_LOGGING_LEVEL", "CRITICAL")


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _with_dashes(arguments: Sequence[str]) -> list[str]:
    """--mask_dilation=4 as --mask-dilation=4: the guide writes underscores."""
    written = []
    for argument in arguments:
        name, equals, value = argument.partition("=")
        written.append(name.replace("_", "-") + equals + value if name.startswith("--") else argument)
    return written


if __name__ == "__main__":
    main()
