"""Display of text from files: invisible characters become visible, and nothing reorders the text around it."""

from __future__ import annotations

import re
import unicodedata

# Categories that are invisible or reorder the text around them: controls, formats (bidi, zero width),
# surrogates, private use, unassigned, separators of lines and of words other than the plain space.
_UNSEEN = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"))
# Letters and marks that draw nothing: grapheme joiner, Hangul and Khmer fillers, the blank Braille
# pattern, and the selectors that only choose a variant of the character before them.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0") | {
    chr(code)
    for first, last in ((0x180B, 0x180F), (0xFE00, 0xFE0F), (0xE0100, 0xE01EF))
    for code in range(first, last + 1)
}
_OPENING = "⟨"
_EDGES = re.compile(r"^ +| +$|(?<= ) +")
_FIRST_STRONG_ISOLATE, _POP_ISOLATE = "\u2068", "\u2069"
# Characters to keep in a sentence: its line ends, and names that were made visible before.
SENTENCE = f" \n{_OPENING}{_FIRST_STRONG_ISOLATE}{_POP_ISOLATE}"


def visible(text: str, keep: str = "") -> str:
    """A name for display: every invisible character is replaced by its code, such as ``⟨U+202E⟩``.

    Different names are shown differently: an opening bracket ``⟨`` is written as its code too, so is a
    space at an end or after another space. A name with letters that run from right to left is put into
    an isolate, so that it does not reorder the figures beside it.

    Parameters
    ----------
    text : a model's name, a task, any text of a file.
    keep : characters to leave as they are; a space among them leaves all spaces and sets no isolate,
        as in `SENTENCE`, for a sentence with names in it.
    """
    plain = "".join(_code(char) if char not in keep and _hidden(char) else char for char in text)
    if " " in keep:
        return plain
    plain = _EDGES.sub(lambda spaces: _code(" ") * len(spaces[0]), plain)
    rtl = any(unicodedata.bidirectional(char) in ("R", "AL", "AN") for char in plain)
    return f"{_FIRST_STRONG_ISOLATE}{plain}{_POP_ISOLATE}" if rtl else plain


def _hidden(char: str) -> bool:
    if char.isascii():
        return char < " " or char == "\x7f"
    return char == _OPENING or char in _BLANK or unicodedata.category(char) in _UNSEEN


def _code(char: str) -> str:
    return f"⟨U+{ord(char):04X}⟩"
