"""``carrot data verify``, ``rebuild``, ``trash`` and ``restore``: what is damaged, and what was removed."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from carrot_core import limits
from carrot_core.cli.common import Result, json_option, open_store, progress
from carrot_core.errors import NotFoundError, StoreError
from carrot_core.text import visible

if TYPE_CHECKING:
    from carrot_core.store.maintenance import Finding


@click.command()
@json_option
def verify() -> Result:
    """Read every benchmark completely and say which are damaged; the exit code is 5 where one is.

    `carrot doctor` reads everything else, too.
    """
    from carrot_core.store.maintenance import verify as verify_all

    with progress("Reading", " benchmarks") as advance:
        findings = verify_all(open_store(), advance)
    lines = [line for finding in findings for line in _finding_lines(finding)]
    document = [asdict(finding) for finding in findings]
    if not any(finding.data or finding.computed for finding in findings):
        return document, "\n".join(lines)
    lines.append("`carrot data rebuild` sets the damaged files aside, beside the store.")
    return document, "\n".join(lines), StoreError.exit_code


def _finding_lines(finding: Finding) -> list[str]:
    if finding.data:
        return [f"{finding.benchmark}: damaged. {finding.data}"]
    if finding.computed:
        return [f"{finding.benchmark}: whole, but its vectors or fitted routers are damaged. {finding.computed}"]
    return [f"{finding.benchmark}: whole"]


@click.command()
@json_option
def rebuild() -> Result:
    """Set damaged files aside; intact benchmarks stay as they are."""
    from carrot_core.store.maintenance import rebuild as rebuild_all

    store = open_store()
    with progress("Reading", " benchmarks") as advance:
        aside, findings = rebuild_all(store, advance)
    whole = [finding.benchmark for finding in findings if not finding.data]
    lost = [finding.benchmark for finding in findings if finding.data]
    again = [finding.benchmark for finding in findings if finding.computed and not finding.data]
    lines = [f"{store.path} has {', '.join(whole) or 'no benchmark'}."]
    lines.append("Nothing is damaged." if aside is None else f"The damaged files are now in {aside}.")
    if lost:
        lines.append(f"Damaged and set aside: {', '.join(lost)}; import them again.")
    if again:
        lines.append(f"To be embedded and fitted again: {', '.join(again)}.")
    return {
        "kept": whole,
        "lost": lost,
        "without_computed": again,
        "aside": None if aside is None else str(aside),
    }, "\n".join(lines)


@click.command()
@json_option
def trash() -> Result:
    """List the benchmarks and operating points that were removed and can come back."""
    from carrot_core.points import shared_points
    from carrot_core.store.trash import removals

    there = [("benchmark", each.name, each.name, each.at) for each in removals(open_store())]
    there += [("point", record.id, record.name, at) for record, at in shared_points().deleted()]
    document = [
        {"kind": kind, "name": key, "title": title, "removed_at": at.isoformat(timespec="seconds")}
        for kind, key, title, at in there
    ]
    lines = [
        f"{kind:9}  {visible(key)}{f'  {visible(title)}' if title != key else ''}  removed {at:%Y-%m-%d %H:%M} UTC"
        for kind, key, title, at in there
    ]
    lines.append(
        f"`carrot data restore NAME` brings one back, within {limits.TRASH_DAYS} days."
        if there
        else "Nothing is there."
    )
    return document, "\n".join(lines)


@click.command()
@click.argument("name")
@json_option
def restore(name: str) -> Result:
    """Bring back what was removed: benchmark NAME as it was last, or the operating point whose id is NAME."""
    from carrot_core.points import shared_points
    from carrot_core.store.trash import removals
    from carrot_core.store.trash import restore as restore_benchmark

    store, shelf = open_store(), shared_points()
    newest = next((each for each in removals(store) if each.name == name), None)
    if newest is not None:
        restore_benchmark(store, newest)
    elif name in (record.id for record, _ in shelf.deleted()):
        shelf.restore(name)
    else:
        raise NotFoundError(f"Nothing called {name!r} is in the trash; `carrot data trash` lists what is.")
    return {"restored": name}, f"{name!r} is back."
