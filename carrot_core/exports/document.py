"""The document of an operating point as it is: JSON and YAML."""

from __future__ import annotations

from carrot_core.serving import plain_yaml
from carrot_core.serving.point import PointFile
from carrot_core.serving.router import CarrotRouter


def as_json(_router: CarrotRouter, point: PointFile) -> bytes:
    """What ``docs/point.schema.json`` describes."""
    return f"{point.model_dump_json(indent=1)}\n".encode()


def as_yaml(_router: CarrotRouter, point: PointFile) -> bytes:
    """The same fields and values as `as_json`."""
    return plain_yaml.dumped(point.model_dump(mode="json")).encode()
