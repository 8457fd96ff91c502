"""YAML of plain values: written so that it reads back the same, read so that nothing in it can do harm."""

from __future__ import annotations

from typing import Any

import yaml

from carrot_core import limits
from carrot_core.errors import DataError
from carrot_core.text import SENTENCE, visible


def dumped(document: Any) -> str:
    """Lists, dicts, text, numbers and None as YAML, in the order given."""
    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)
    return text


def parsed(content: bytes, name: str) -> Any:
    """The plain values of a YAML document; ``name`` is what an error calls it.

    Raises
    ------
    DataError
        It is no YAML, too large or too deep, has anchors (a few lines of which grow to gigabytes) or tags of
        other than plain values.
    """
    if len(content) > limits.YAML_BYTES:
        raise DataError(
            name, f"is larger than the {limits.YAML_BYTES >> 10} KiB of YAML that are read; give it as JSON"
        )
    try:
        _refuse_tricks(content, name)
        return yaml.safe_load(content)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date or a number that is none
        told = " ".join(str(error).split())
        raise DataError(name, f"is not plain YAML: {visible(told[:300], keep=SENTENCE)}") from error


def _refuse_tricks(content: bytes, name: str) -> None:
    depth = 0
    for event in yaml.parse(content, Loader=yaml.SafeLoader):
        if getattr(event, "anchor", None) is not None:
            raise DataError(name, f"has an anchor or alias in line {event.start_mark.line + 1}; write values out")
        # Untagged, a plain value is what it looks like; a tag can call it what it cannot be read as.
        if getattr(event, "tag", None) is not None:
            raise DataError(name, f"has a tag in line {event.start_mark.line + 1}; write values without one")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > limits.YAML_LEVELS:
            raise DataError(name, f"is nested deeper than {limits.YAML_LEVELS} levels")
