"""Clients of the API: the tokens they are known by, what each may do, and how often each may ask."""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from carrot_core.errors import CarrotError

SCOPES = ("route", "read", "metrics")  # prompts; models, curves and the document of routes; figures of the server
_LINE = re.compile(r"(\S{1,80})\s+([a-z,]+)\s+([0-9a-f]{64})")
_MOST_CLIENTS = 10_000  # that are told apart; one that has not asked for longest is forgotten


@dataclass(frozen=True)
class Token:
    """A token of a client: its name, for the log; the sha256 of the token; and what it may do, of `SCOPES`."""

    name: str
    sha256: str = field(repr=False)
    scopes: frozenset[str] = frozenset(SCOPES)

    @classmethod
    def of(cls, secret: str, name: str = "token") -> Token:
        """The token with that text, which may do everything."""
        return cls(name, _sha256(secret.encode()))


def read_tokens(path: Path) -> tuple[Token, ...]:
    """Tokens of a file: a line each with name, scopes and sha256 of the token; ``#`` starts a comment.

    Raises
    ------
    CarrotError
        The file cannot be read, has no token, a line that is none, or a name twice. No line is quoted.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CarrotError(f"The file of tokens {path} cannot be read.") from error
    tokens: dict[str, Token] = {}
    for number, line in enumerate(lines, start=1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        parts = _LINE.fullmatch(text)
        scopes = frozenset(parts[2].split(",")) if parts else frozenset()
        if parts is None or not scopes <= set(SCOPES):
            raise CarrotError(
                f"{path}, line {number}: write a name, scopes of {','.join(SCOPES)} with commas between them, and the "
                "sha256 of the token in 64 hexadecimal digits."
            )
        if parts[1] in tokens:
            raise CarrotError(f"{path}, line {number}: the name {parts[1]!r} is there twice.")
        tokens[parts[1]] = Token(parts[1], parts[3], scopes)
    if not tokens:
        raise CarrotError(f"The file of tokens {path} has none.")
    return tuple(tokens.values())


def token_of(authorization: str, tokens: Iterable[Token]) -> Token | None:
    """The token of an ``Authorization`` header; None if it is none of them. Takes as long whichever it is."""
    scheme, _, secret = authorization.partition(" ")
    digest = _sha256(secret.strip().encode("latin-1"))
    same = [token for token in tokens if hmac.compare_digest(token.sha256, digest)]
    return same[0] if same and scheme.lower() == "bearer" else None


def _sha256(secret: bytes) -> str:
    return hashlib.sha256(secret).hexdigest()


class Pace:
    """How often each client may ask: so many requests a minute, all of them at once if need be."""

    def __init__(self, requests_a_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._clock = requests_a_minute, clock
        self._clients: OrderedDict[str, tuple[float, float]] = OrderedDict()  # requests left, at which second

    def wait_s(self, client: str) -> float:
        """Count a request of a client: 0 if it may be answered, else the seconds until one may."""
        now, a_second = self._clock(), self._most / 60
        left, then = self._clients.pop(client, (float(self._most), now))
        left = min(left + (now - then) * a_second, float(self._most))
        allowed = left >= 1
        self._clients[client] = (left - allowed, now)
        if len(self._clients) > _MOST_CLIENTS:
            self._clients.popitem(last=False)
        return 0.0 if allowed else (1 - left) / a_second
