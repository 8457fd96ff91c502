"""The routers a server answers for: their names are fixed when it starts, each is loaded once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from carrot_core.errors import CarrotError, NotFoundError
from carrot_core.serving.router import CarrotRouter

Source = str | Path
Status = Literal["cold", "warming", "ready", "failed"]

log = logging.getLogger("carrot.api")


class Served:
    """Routers by name; what a request names is looked up here and nowhere else.

    Parameters
    ----------
    sources : what `CarrotRouter.load` takes, by the name it is served under; the first is the default.
    load : loads one of them.

    Attributes
    ----------
    names : of the routers served.
    status : "cold", then "warming" while the default router and its encoder are loaded, then "ready" or "failed".
    """

    def __init__(
        self, sources: Mapping[str, Source], load: Callable[[Source], CarrotRouter] = CarrotRouter.load
    ) -> None:
        if not sources:
            raise CarrotError("There is no router to serve.")
        self.names = tuple(sources)
        self.status: Status = "cold"
        self._sources = dict(sources)
        self._load = load
        self._loaded: dict[str, CarrotRouter] = {}
        self._locks = {name: threading.Lock() for name in sources}

    def named(self, name: str | None) -> str:
        """The name of a router served, the default one for None.

        Raises
        ------
        NotFoundError
            No router is served under that name.
        """
        if name is None:
            return self.names[0]
        if name not in self._sources:
            raise NotFoundError(f"No router is served under that name; there are: {', '.join(self.names)}.")
        return name

    def get(self, name: str) -> CarrotRouter:
        """The router of a name served, loaded on first use.

        Raises
        ------
        CarrotError
            It cannot be loaded.
        """
        with self._locks[name]:
            if name not in self._loaded:
                self._loaded[name] = self._load(self._sources[name])
            return self._loaded[name]

    def warm(self) -> None:
        """Load the default router and its encoder, so that the first prompt need not wait for them."""
        self.status = "warming"
        try:
            self.get(self.names[0]).warm()
            self.status = "ready"
        except Exception as error:  # whatever it is, the server stands and its health check tells
            self.status = "failed"
            log.error("the router %r could not be loaded: %s", self.names[0], error)

    def warm_in_background(self) -> None:
        """`warm` in a thread of its own."""
        threading.Thread(target=self.warm, name="carrot-warm", daemon=True).start()


def sources_of(given: tuple[str, ...]) -> dict[str, Source]:
    """Names to serve under, from what was named at start-up: ``SOURCE`` or ``NAME=SOURCE``.

    A folder or file without a name of its own is served under its last part, so that no path is told.

    Raises
    ------
    CarrotError
        Two sources of one name.
    """
    sources: dict[str, Source] = {}
    for text in given:
        name, equals, source = text.partition("=")
        if not equals:
            path = Path(text)
            source, name = text, path.name if path.is_dir() else path.stem if path.exists() else text
        if not name or not source:
            raise CarrotError(f"{text!r} must be SOURCE or NAME=SOURCE.")
        if name in sources:
            raise CarrotError(f"Two sources would be served as {name!r}; give one another name: NAME=SOURCE.")
        sources[name] = source
    return sources
