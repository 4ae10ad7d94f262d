"""Takes a file from elsewhere in a process of its own, so that it can harm nothing but itself.

python -m astralytiq.engines.models.trying FILE TAKEN < signature.json

Prints {"algorithm": …} once TAKEN is written, or {"refused": why}. Whatever else happens, such as
too much memory or time or an end by the system, is for the caller to put into words.
"""

import json
import sys
from pathlib import Path
from typing import Any

from .catalogue import adapter_of
from .contract import MissingExtra
from .foreign import Refused, Signature, taken, tried

MOST_ROWS = 10_000  # of one request
MOST_SECONDS, MOST_BYTES = 120, 2 << 30


def limit() -> None:
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415 - Windows has none

    resource.setrlimit(resource.RLIMIT_CPU, (MOST_SECONDS, MOST_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def run(file: Path, made: Path, signature: Signature) -> dict[str, Any]:
    try:
        algorithm, content = taken(file.read_bytes(), signature)
        tried(adapter_of(algorithm), content, signature, MOST_ROWS)
    except (Refused, MissingExtra) as error:
        return {"refused": str(error)}
    except MemoryError:
        return {"refused": f"The model needs more than {MOST_BYTES >> 30} GB for {MOST_ROWS} rows."}
    made.write_bytes(content)
    return {"algorithm": algorithm}


def main() -> None:
    limit()
    file, made = map(Path, sys.argv[1:])
    signature = Signature(**json.load(sys.stdin))
    sys.stdout.write(json.dumps(run(file, made, signature)))


if __name__ == "__main__":
    main()
