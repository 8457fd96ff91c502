"""The law behind CARROT, tried where everything is known, and how many dimensions real prompts fill."""

from carrot_core.theory.rates import RateCurve, predicted_slope, simulate
from carrot_core.theory.world import BREACHES, Breach, World, possible

__all__ = ["BREACHES", "Breach", "RateCurve", "World", "possible", "predicted_slope", "simulate"]
