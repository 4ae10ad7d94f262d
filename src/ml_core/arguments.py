"""What the commands share: help with examples, and one clear line for whatever is wrong."""

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

BAD_INPUT, STOPPED = 2, 130


class Parser(argparse.ArgumentParser):
    """Answers a wrong argument with one line instead of the usage and a line."""

    def __init__(self, module: str, description: str, examples: Sequence[str]) -> None:
        """``examples`` are arguments that make sense together; they end the help."""
        calls = [f"  python -m {module} {example}" for example in examples]
        super().__init__(
            prog=f"python -m {module}",
            description=description,
            epilog="\n".join(["examples:", *calls]),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        self.add_argument(
            "--data", required=True, metavar="FILE", help="CSV file with a line of column names"
        )

    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{message} (see --help)")


def answer(module: str, report: Callable[[], str]) -> int:
    """Print the report and return 0; for bad input one line on stderr, and return 2."""
    try:
        text = report()
    except ValueError as error:
        return _one_line(module, str(error), BAD_INPUT)
    except MemoryError as error:
        return _one_line(module, f"there is not enough memory for it: {error}", BAD_INPUT)
    except KeyboardInterrupt:
        return _one_line(module, "stopped", STOPPED)
    sys.stdout.write(text)
    return 0


def as_json(facts: dict[str, Any]) -> str:
    """A report for programs."""
    import json  # noqa: PLC0415 - takes longer to load than a small file to cluster

    return json.dumps(facts, indent=2, ensure_ascii=False) + "\n"


def _one_line(module: str, message: str, code: int) -> int:
    line = " ".join(message.split())
    sys.stderr.write(f"{module}: {line}\n")
    return code
