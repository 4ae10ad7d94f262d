"""What the commands share: one clear line for whatever is wrong, and the exit code for it."""

import argparse
import sys
from collections.abc import Callable
from typing import NoReturn

BAD_INPUT = 2


class Parser(argparse.ArgumentParser):
    """Answers a wrong argument with one line instead of the usage and a line."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{message} (see --help)")


def answer(module: str, report: Callable[[], str]) -> int:
    """Print the report and return 0; if it raises ValueError, one line on stderr and return 2."""
    try:
        text = report()
    except ValueError as error:
        line = " ".join(str(error).split())
        sys.stderr.write(f"{module}: {line}\n")
        return BAD_INPUT
    sys.stdout.write(text)
    return 0
