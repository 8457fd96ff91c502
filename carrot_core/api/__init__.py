"""The HTTP API: fitted routers answer typed prompts; the same routes serve alone or beside the dashboard."""

from carrot_core.api.answers import Served
from carrot_core.api.app import Settings, create_app

__all__ = ["Served", "Settings", "create_app"]
