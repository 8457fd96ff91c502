"""CARROT: choose which model answers which prompt, with the whole cost-accuracy trade-off in view."""

__version__ = "0.1.0"
