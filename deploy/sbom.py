"""Print what is installed beside this Python as a bill of materials: JSON of CycloneDX 1.6."""

from __future__ import annotations

import json
from importlib.metadata import Distribution, distributions

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PRODUCT = "carrot-core"


def name_of(package: Distribution) -> str:
    """Its name as the index writes it."""
    return canonicalize_name(package.metadata["Name"])


def purl(package: Distribution) -> str:
    """Its address as a package URL, which other tools know it by."""
    return f"pkg:pypi/{name_of(package)}@{package.version}"


def component(package: Distribution) -> dict[str, object]:
    """A package as CycloneDX writes it, with its licence where the package states one."""
    expression = (package.metadata.get_all("License-Expression") or [None])[0]
    classes = [text for text in package.metadata.get_all("Classifier") or [] if text.startswith("License :: OSI")]
    names = [{"license": {"name": text.rsplit(" :: ", 1)[-1]}} for text in classes]
    return {
        "type": "application" if name_of(package) == PRODUCT else "library",
        "bom-ref": purl(package), "name": name_of(package), "version": package.version, "purl": purl(package),
        "licenses": [{"expression": expression}] if expression else names,
    }  # fmt: skip


def bill(installed: dict[str, Distribution]) -> dict[str, object]:
    """The document of installed packages, by name: the product, its parts, and which needs which."""
    needs = {
        name: sorted(
            {
                purl(installed[needed])
                for requirement in map(Requirement, package.requires or ())
                if (needed := canonicalize_name(requirement.name)) in installed
                and (requirement.marker is None or requirement.marker.evaluate({"extra": ""}))
            }
        )
        for name, package in installed.items()
    }
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": component(installed[PRODUCT])},
        "components": [component(package) for name, package in installed.items() if name != PRODUCT],
        "dependencies": [{"ref": purl(installed[name]), "dependsOn": refs} for name, refs in needs.items()],
    }


if __name__ == "__main__":
    print(
        json.dumps(
            bill(dict(sorted(((name_of(one), one) for one in distributions()), key=lambda pair: pair[0]))), indent=1
        )
    )
