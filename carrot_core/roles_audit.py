"""Roles of people on a team's server, by the claims of a login's token and the file that `CARROT_ROLES` names; the
audit log of what they change."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum
from functools import lru_cache
from pathlib import Path
from typing import Any

from filelock import FileLock

from carrot_core import limits, paths
from carrot_core.errors import CarrotError, StoreError

VARIABLE = "CARROT_ROLES"
AUDIT = "audit.jsonl"


class Role(IntEnum):
    """Permissions of a person; each role includes those before it."""

    VIEWER = 1  # read, try prompts, export
    EDITOR = 2  # import, fit, keep, pull
    ADMIN = 3  # remove, replace, restore


@dataclass(frozen=True)
class Person:
    """A person who acts: name in the audit log, and role, None without one."""

    name: str
    role: Role | None


@dataclass(frozen=True)
class Roles:
    """Roles of people, from the file that `CARROT_ROLES` names.

    Attributes
    ----------
    people : roles by e-mail address, in small letters; an address counts only if the login says that it is verified.
    claim : name of the claim in the login's token that ``values`` are for; names with dots between them for one inside
        others. The claim may have one text or several.
    values : roles by text of the claim.
    default : role of others who log in; None lets nobody else in.
    """

    people: Mapping[str, Role] = field(default_factory=dict)
    claim: str = ""
    values: Mapping[str, Role] = field(default_factory=dict)
    default: Role | None = None

    def of(self, claims: Mapping[str, Any]) -> Role | None:
        """The role by the claims of a token: that of the address, else the highest of the claim, else the default.

        An unverified address gives nobody a higher role, but its listed role is still an upper limit.
        """
        listed = self.people.get(str(claims.get("email")).casefold())
        if listed is not None and is_verified(claims):
            return listed
        content = _claim(claims, self.claim)
        texts = content if isinstance(content, list) else [content]
        role = max((role for value, role in self.values.items() if value in texts), default=self.default)
        return role if role is None or listed is None else min(role, listed)


def is_verified(claims: Mapping[str, Any]) -> bool:
    """Whether a token says that its address is verified; some providers say so in text."""
    return str(claims.get("email_verified")).lower() == "true"


def _claim(claims: Mapping[str, Any], name: str) -> Any:
    if name in claims:
        return claims[name]
    first, _, rest = name.partition(".")
    inner = claims.get(first)
    return _claim(inner, rest) if rest and isinstance(inner, Mapping) else None


def roles() -> Roles:
    """The roles of the file that `CARROT_ROLES` names, as it is now.

    Raises
    ------
    CarrotError
        The variable is not set, or the file cannot be read or understood.
    """
    file = os.environ.get(VARIABLE)
    if not file:
        raise CarrotError(
            f"CARROT_MODE=team needs to know who may do what: name in {VARIABLE} a TOML file of roles, such as "
            '`[people]` and `"ann@carrot.example" = "admin"` (docs/hosting.md).'
        )
    try:
        status = os.stat(file)
        return _roles(file, status.st_mtime_ns, status.st_ino)
    except (OSError, ValueError) as error:
        raise CarrotError(f"{VARIABLE}={file} cannot be read as TOML: {error}.") from error


@lru_cache(maxsize=1)
def _roles(file: str, _changed_ns: int, _inode: int) -> Roles:
    content = tomllib.loads(Path(file).read_text(encoding="utf-8"))
    people, values = content.pop("people", {}), content.pop("values", {})
    claim, default = content.pop("claim", ""), content.pop("default", None)
    if content or not isinstance(claim, str) or not isinstance(people, dict) or not isinstance(values, dict):
        raise CarrotError(f"{file}: a file of roles has `claim`, `default`, [values] and [people] (docs/hosting.md).")
    if bool(claim) != bool(values):
        raise CarrotError(f"{file}: `claim` names what [values] are of, so a file has both or neither.")
    return Roles(
        {email.casefold(): _role(file, email, role) for email, role in people.items()},
        claim,
        {value: _role(file, value, role) for value, role in values.items()},
        None if default is None else _role(file, "default", default),
    )


def _role(file: str, name: str, text: object) -> Role:
    role = next((role for role in Role if text == role.name.lower()), None)
    if role is None:
        raise CarrotError(f"{file}: {name} = {text!r} is not a role: write viewer, editor or admin.")
    return role


def audit_line(who: Person | None, what: str, on: str, result: str) -> bytes:
    """A line of the audit log about an action that ends now."""
    line = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "who": "nobody" if who is None else who.name[: limits.AUDIT_CHARACTERS],
        "what": what,
        "on": on[: limits.AUDIT_CHARACTERS],
        "result": result,
    }
    return json.dumps(line).encode() + b"\n"  # in ASCII, so that no name can start a new line


def append_to_audit_log(line: bytes) -> None:
    """Append to the log; a full log is renamed first, and the oldest of these is deleted.

    Raises
    ------
    StoreError
        The log cannot be written.
    """
    path = paths.home() / AUDIT
    older = [path.with_suffix(f".{number}.jsonl") for number in range(1, limits.AUDIT_FILES)]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            if path.exists() and path.stat().st_size + len(line) > limits.AUDIT_BYTES:
                for source, target in reversed(list(zip([path, *older], older, strict=False))):
                    if source.exists():
                        os.replace(source, target)
                path.unlink(missing_ok=True)  # exists if no older one is to be kept
            handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(handle, line)
            finally:
                os.close(handle)
    except OSError as error:
        raise StoreError(f"The audit log {path} cannot be written: {error.strerror or error}.") from error
