"""Routers that read the text itself: a transformers encoder fine-tuned on scores and usage.

torch and transformers are imported where a network is made or read, not with this package.
"""

from __future__ import annotations

from carrot_core.routers.encoder.released import CarrotReleased
from carrot_core.routers.encoder.router import CarrotEncoder, RouteLLMBert

__all__ = ["CarrotEncoder", "CarrotReleased", "RouteLLMBert"]
