"""The Operating points page."""
