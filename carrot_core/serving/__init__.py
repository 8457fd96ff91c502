"""Fitted routers at work: typed prompts, files of prompts, and what a decision rests on."""
