"""The Live prompt page."""
