"""The HTTP API: fitted routers answer typed prompts; the same routes serve alone or beside the dashboard."""

from carrot_core.api.app import Settings, create_app
from carrot_core.api.served import Served

__all__ = ["Served", "Settings", "create_app"]
