"""Text of files, in Markdown that shows just that text."""

from __future__ import annotations

import re

from carrot_core.text import SENTENCE, visible

_MARKUP = re.compile(r"([\\`*_{}\[\]()<>#+\-=.!|~$:&])")


def plain(text: str) -> str:
    """Markdown that shows exactly this text.

    Names and messages come from files: unescaped, an image in one would make the browser ask
    another host for it. Characters nobody sees stand there by their codes.
    """
    return _MARKUP.sub(r"\\\1", visible(text, SENTENCE)).replace("\n", "  \n")
