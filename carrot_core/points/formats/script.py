"""A Python script that routes prompts at an operating point, which stands in it."""

from __future__ import annotations

from pprint import pformat

from carrot_core.serving.point import PointFile
from carrot_core.serving.router import CarrotRouter

_HEAD = '''"""Which model answers a prompt, at an operating point that carrot-core exported.

    python FILE "What is 2 + 2?" "Prove that there are infinitely many primes."

prints the name of a model for each prompt, a line each. It calls no model and sends nothing; it needs
carrot-core, and the router that POINT names in "source", which must be the very one it was made with.
"""

import sys

from carrot_core import CarrotError
from carrot_core.serving.loading import at_point
from carrot_core.serving.point import point_of

'''
_TAIL = """

def main() -> None:
    prompts = sys.argv[1:]
    if not prompts:
        sys.exit(f'Usage: python {sys.argv[0]} "PROMPT" ...')
    try:
        router = at_point(point_of(POINT))
    except CarrotError as error:
        sys.exit(f"Error: {error}")
    print(*router.route(prompts), sep="\\n")


if __name__ == "__main__":
    main()
"""


def as_python(_router: CarrotRouter, point: PointFile) -> bytes:
    """The script; what it needs beside carrot-core stands at its head."""
    return f"{_HEAD}{assignment(point)}{_TAIL}".encode()


def assignment(point: PointFile) -> str:
    """``POINT = {...}``, whatever characters the names in it are made of."""
    # `repr` writes what is not printable, line ends and reversed text among it, as escapes.
    return f"POINT = {pformat(point.model_dump(mode='json'), width=110, sort_dicts=False)}\n"
