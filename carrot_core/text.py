"""Text from files: the part of a prompt or chat that is read, and the display of any text.

In displayed text invisible characters become visible, and nothing reorders the text around it.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import zip_longest
from typing import Any, TypeGuard

# A prompt: a text, chat messages (role and content each), or an object that has them as ``messages``.
Prompt = str | Collection[Mapping[str, Any]] | Mapping[str, Any]
_EFFORTS = frozenset(("none", "minimal", "low", "medium", "high", "xhigh", "max", "thinking"))
_USERS = ("user", "human")
_SPEAKERS = ("human", "user", "ai", "gpt", "assistant", "system", "tool", "function")  # of ShareGPT and LangChain
_LISTS = ("messages", "conversations", "contents", "input")  # keys of lists of messages
_BESIDE_INPUT = ("instruction", "output")  # keys of Alpaca's format, in which the input alone is not the prompt
_TEXT_PARTS = ("text", "input_text")
# Strings, numbers, constants and brackets: all parts of lists and objects of plain values as Python writes them.
_STRING = r"""'(?:[^'\\\n]|\\.)*+'|"(?:[^"\\\n]|\\.)*+\""""
_PYTHON = re.compile(rf"(?>{_STRING}|[\[\](){{}}:,\s]|None|True|False|-?\d++(?:\.\d*+)?(?:[eE][+-]?\d++)?)*+")
# Values of numpy, decimals, and words such as nan that are not constants of Python. A string is one token, and so is
# text that only begins like one: no part of it is matched a second time.
_TOKEN = re.compile(
    rf"""({_STRING}|['"].*+)|(?<![\w.])(?:"""
    rf"(?:Decimal|UUID|Timestamp|np\.(?:str_|datetime64|u?(?:float|int)\d++))\(({_STRING}|[-+.\deE]++|nan|-?inf)\)"
    r"|np\.(True|False)_\b|(-?\b(?:nan|inf)\b))"
)
_WORDS = {"nan": "None", "-nan": "None", "inf": "'inf'", "-inf": "'-inf'"}
_ESCAPE = re.compile(r"""(\\[\\'"abfnrtvxuUN0-7])|\\""")  # or a single backslash, which Python keeps, with a warning
PYTHON_CHARACTERS = 100_000  # beside the strings of one value as Python writes it: 0.3 seconds and 50 MB to parse
_WINDOW_BYTES = 1_000  # about what 256 tokens hold, the window of the encoder; letters beyond ASCII are a token each

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
    """Make a name displayable: every invisible character is replaced by its code, such as ``⟨U+202E⟩``.

    Different names stay different: an opening bracket ``⟨`` is replaced by its code too, as is a space at
    an end or after another space. A name with letters that run from right to left is put into an isolate,
    so that it does not reorder the figures beside it.

    Parameters
    ----------
    text : a model's name, a task, any text of a file.
    keep : characters to leave unchanged; a space among them leaves all spaces and sets no isolate,
        as in `SENTENCE`, for a sentence with names in it.
    """
    hidden = {char for char in set(text).difference(keep) if _hidden(char)}
    plain = "".join(_code(char) if char in hidden else char for char in text) if hidden else text
    if " " in keep:
        return plain
    plain = _EDGES.sub(lambda spaces: _code(" ") * len(spaces[0]), plain)
    rtl = not plain.isascii() and any(unicodedata.bidirectional(char) in ("R", "AL", "AN") for char in set(plain))
    return f"{_FIRST_STRONG_ISOLATE}{plain}{_POP_ISOLATE}" if rtl else plain


def short_names(models: Iterable[str]) -> dict[str, str]:
    """Shortest displayable name (`visible`) of each model that differs from those of all others.

    Names are cut at slashes: ``google/gemini`` and ``azure/gpt`` become ``gemini`` and ``gpt``; two providers' ``gpt``
    stay whole, and an effort level alone is not a name.
    """
    return dict(_short_names(tuple(dict.fromkeys(models))))


@lru_cache(maxsize=64)
def _short_names(models: tuple[str, ...]) -> dict[str, str]:
    count = Counter(ending for model in models for ending in _endings(model))
    return {
        model: visible(next((ending for ending in _endings(model) if count[ending] == 1), model)) for model in models
    }


def _endings(model: str) -> list[str]:
    """Endings of a model's name that may stand for it, the shortest first."""
    parts = model.rstrip("/").split("/")
    endings = ["/".join(parts[place:]) for place in reversed(range(len(parts)))]
    return [ending for ending in endings if ending and ending.casefold() not in _EFFORTS]


def _hidden(char: str) -> bool:
    if char.isascii():
        return char < " " or char == "\x7f"
    return char == _OPENING or char in _BLANK or unicodedata.category(char) in _UNSEEN


def _code(char: str) -> str:
    return f"⟨U+{ord(char):04X}⟩"


def prompt_text(prompt: Prompt) -> str | None:
    """The text that CARROT reads: the prompt itself, or the last user message of a chat.

    A text that is chat messages, as JSON or as Python writes them, counts as these.

    Returns
    -------
    str or None
        None if no message of a chat has a text of the user.

    Raises
    ------
    TypeError
        The prompt is neither a text nor chat messages.
    """
    messages = chat_messages(prompt)
    if messages is not None:
        return last_user_text(messages) or None
    if isinstance(prompt, str):
        return prompt
    raise TypeError(f"is {type(prompt).__name__}, neither a text nor a list of chat messages")


def chat_messages(prompt: Prompt) -> Collection[Mapping[str, Any]] | None:
    """The messages of a prompt that is a chat; None for any other."""
    value: Any = prompt
    if isinstance(prompt, str):
        # Most prompts are not JSON; this check is cheaper than parsing.
        if not prompt.lstrip().startswith(("[", "{")):
            return None
        value = _parsed(prompt)
    if isinstance(value, Mapping):
        value = _chat_in(value)
    return value if is_chat(value) else None


def _chat_in(request: Mapping[str, Any]) -> Collection[Mapping[str, Any]] | None:
    """The first list of a request that is a chat; None if there is none."""
    return next((turns for key in _LISTS if is_chat(turns := _turns(key, request))), None)


def _turns(key: str, request: Mapping[str, Any]) -> object:
    """The value of a key as its API reads it: contents without a role are the user's, and calls are not messages."""
    value = request.get(key)
    if key == "input" and isinstance(value, str) and request.keys().isdisjoint(_BESIDE_INPUT):
        return [{"role": "user", "content": value}]
    if not _is_list(value) or not all(isinstance(turn, Mapping) for turn in value):
        return value
    if key == "contents":
        return [turn if "role" in turn or "parts" not in turn else {"role": "user", **turn} for turn in value]
    if key == "input":
        return [turn for turn in value if _role(turn) is not None or not isinstance(turn.get("type"), str)] or value
    return value


def _parsed(text: str) -> Any:
    """Parse JSON, or a list as Python writes it, which is how lists are stored in a CSV."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    written = json_of_python(text) if any(key in text for key in ("'role'", "'from'", "'type'")) else None
    return None if written is None else json.loads(written)


def json_of_python(text: str) -> str | None:
    """Convert a list or an object as Python writes it, for instance in a CSV, to JSON; None for any other text.

    Nothing is run: only plain values are allowed; nan becomes null, and numpy's numbers and decimals become Python's.
    Outside strings there may be at most `PYTHON_CHARACTERS`.
    """
    text = text.strip()
    if not text.startswith(("{", "[", "(")):
        return None
    plain = _TOKEN.sub(_of_python, text)
    if not _PYTHON.fullmatch(plain) or len(re.sub(_STRING, "''", plain)) > PYTHON_CHARACTERS:
        return None
    try:
        return json.dumps(ast.literal_eval(plain), allow_nan=False)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):  # a set, a list as a key, too many levels
        return None


def _of_python(token: re.Match[str]) -> str:
    """Rewrite a token so that Python reads it without names and warnings."""
    value = token[token.lastindex or 0]
    return _ESCAPE.sub(lambda escape: escape[1] or r"\\", _WORDS.get(value, value))


def is_chat(value: object) -> TypeGuard[Collection[Mapping[str, Any]]]:
    """Whether a value is a list of chat messages, which may be empty."""
    return _is_list(value) and all(isinstance(turn, Mapping) and _is_message(turn) for turn in value)


def _is_message(turn: Mapping[str, Any]) -> bool:
    """Whether an object is a message; one that only calls tools may lack a content."""
    return _role(turn) is not None and not turn.keys().isdisjoint(("content", "value", "parts", "tool_calls"))


def _role(turn: Mapping[str, Any]) -> str | None:
    """The speaker: ``role``, ``from`` in ShareGPT's messages, ``type`` in LangChain's; None without one."""
    if isinstance(role := turn.get("role"), str):
        return role
    return next((other for key in ("from", "type") if (other := turn.get(key)) in _SPEAKERS), None)


def _is_list(value: object) -> TypeGuard[Collection[Any]]:
    """Whether a value is a list, a tuple or an array, as readers of tables give lists."""
    return isinstance(value, Collection) and not isinstance(value, str | bytes | Mapping)


def last_user_text(messages: object) -> str:
    """The text of the last user message that has any, which CARROT reads of a chat.

    Benchmarks are single questions, and the encoder reads the beginning of a text only. A system
    prompt before the question would fill that window with the same words in every call, and
    earlier turns would fill it with questions already answered. Tool results do not count as words of the user,
    so that the calls of an agent at work on one question all go to one model.

    Parameters
    ----------
    messages : list of dict, str or None
        Chat messages, or the ``input`` of LiteLLM's other calls. Of a content in parts the text
        parts count; images, audio and files are not read.

    Returns
    -------
    str
        Empty if there is no such text.
    """
    if isinstance(messages, str):
        return messages
    turns = list(messages) if _is_list(messages) else []
    users = (turn for turn in reversed(turns) if isinstance(turn, Mapping) and _role(turn) in _USERS)
    return next((text for text in map(_content_text, users) if text.strip()), "")


def _content_text(message: Mapping[str, Any]) -> str:
    content = message.get("content", message.get("value", message.get("parts")))
    if isinstance(content, str):
        return content
    texts = map(_part_text, content) if _is_list(content) else ()
    return "\n".join(text for text in texts if text is not None)


def _part_text(part: object) -> str | None:
    """The text of a part, which may be a text itself; None for other parts."""
    if isinstance(part, Mapping):
        part = part.get("text") if part.get("type", "text") in _TEXT_PARTS else None
    return part if isinstance(part, str) else None


def join_surrogates(text: str) -> str:
    """Join surrogate pairs, and replace half pairs, which no encoder and no database can read."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def text_hash(text: str) -> str:
    """Key of a text among vectors: sha256 of its UTF-8 bytes, unchanged."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def text_keys(texts: Sequence[str | None], hashes: Sequence[str | None]) -> list[str | None]:
    """Keys that tell the texts of prompts apart: each text, or its hash if the text is missing.

    No prompt's text is the hash of another, so equal keys mean equal texts. ``hashes`` may be empty.
    """
    return [text if text is not None else other for text, other in zip_longest(texts, hashes)]


def fingerprint(text: str) -> tuple[int, int]:
    """Hashes of a text and of the part that an encoder reads, for `alike_warning`; valid in one process only."""
    return hash(text), hash(text.encode("utf-8", "surrogatepass")[:_WINDOW_BYTES])


def alike_warning(fingerprints: Collection[tuple[int, int]]) -> str:
    """A warning if most distinct texts begin like another one, as far as an encoder reads; else ""."""
    count = Counter(beginning for _, beginning in fingerprints)
    return alike_note(sum(number for number in count.values() if number > 1), len(fingerprints))


def alike_note(alike: int, different: int) -> str:
    """The text of `alike_warning` if ``alike`` of the different texts begin like another one."""
    if 2 * alike <= different:
        return ""
    return (
        f"{alike:,} of {different:,} different texts begin like another one for their first "
        f"{_WINDOW_BYTES:,} characters, which is about all that the encoder reads (256 tokens): a router that reads "
        "vectors can hardly tell them apart. Leave out what they share, such as a system prompt, or bring chat "
        "messages (role and content), of which the last text of the user is read."
    )


def alike_names(models: Iterable[str]) -> list[str]:
    """A note on models whose names differ only in case and spaces at an end: they count as different models."""
    alike: dict[str, list[str]] = {}
    for model in models:
        alike.setdefault(model.strip().casefold(), []).append(model)
    groups = [" and ".join(map(repr, names)) for names in alike.values() if len(names) > 1]
    return [f"Different models, though their names are nearly the same: {names_listed(groups, 5)}."] if groups else []


def counted(count: int, one: str, several: str = "") -> str:
    """How many there are, in words: "1 prompt", "2 prompts"; ``several`` where that is not ``one`` with an s."""
    return f"{count:,} {one if count == 1 else several or f'{one}s'}"


def names_listed(names: Collection[str], most: int = 40) -> str:
    """Names for a message: the first ones, and how many more."""
    first = ", ".join(list(names)[:most])
    return f"{first} and {len(names) - most:,} more" if len(names) > most else first
