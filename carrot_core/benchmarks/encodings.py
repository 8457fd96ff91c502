"""The encoding of a text that is neither UTF-8 nor UTF-16, told by the letters that each one makes of its bytes.

In the right encoding the letters are those of one language, in the wrong one they come from everywhere, or upper case
stands inside words. So each encoding is given a fit, which needs a few dozen letters to be sure; detectors that count
how often each letter occurs need far more, since most of a table's letters are ASCII.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from carrot_core import limits
from carrot_core.benchmarks.file_checks import byte_stream, chunks
from carrot_core.benchmarks.reading import UTF8, Reading, text_encoding
from carrot_core.errors import DataError, Problem
from carrot_core.number_formats import size_text

_SAMPLE_BYTES = 1 << 17  # of lines with other letters than ASCII has
_SURE_FIT = 0.5  # below it no encoding is taken
_MARGIN = 0.3  # of the fit, divided by the root of the number of letters: within it another encoding is as likely
_OTHER = re.compile(rb"[\x80-\xff]")
_LETTER = re.compile(r"[^\x00-\x7f]")
_WORD = re.compile(r"[^\W\d_]+|[^\x00-\x7f]")
_SEVERAL_BYTES = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")  # in UTF-8
_UTF8_SHARE = 0.02  # of the lines, from which on a text is damaged UTF-8
_MARKS = dict.fromkeys("“”‘’„‚–—…€£°«»¿¡\u00a0", 1.0) | dict.fromkeys("§·•©®™×÷±²³¼½¾¶ªºµ¨´№‹›¥", 0.7)
_INSIDE_WORDS = "’‘–—·\u00ad"  # marks that stand there rightly

_WESTERN = (
    "éèàêçùâîôûëïüœæÿ", "äöüßé", "óáíñéúü", "ãçáéêíóõâàú", "åäöéæø", "àèéìòù", "éëïèöü", "àçéèíïóòúü", "áðéíóúýþæö",
)  # fmt: skip
_CENTRAL = ("ąęłóśżćńź", "íáéěýčřšžůúťďňó", "áíýéčšžľúťôňďäĺŕó", "éáöóőüíúű", "ăâîşţ", "čšžćđ", "äöüßé")
_CYRILLIC = (  # the common letters of a language, then the rare ones
    "оеаинтсрвлкмдпуя гызбйьчхжцюшщэфъё", "оаніирвтеслкудмя пзьбгйчхцїжєшюфщґ", "аиоентрсвлкдпмз гяъубчцйжщхшюфь",
    "аиоенрсутјкв мдплгзбчцшжћђњљхфџ", "аіоненрытсклядпў мзвыуьбгйчхжцюшэёф",
)  # fmt: skip
_GREEK = ("ατοιενρσκηπςυμλίόάέή γδωχθύφβξζψώϊΐϋΰ",)
# Of the encodings with a byte for each letter, the likely ones first: what is read, and the letters of languages.
_BYTE_EACH = {
    "cp1252": ("Western, of Windows", _WESTERN),
    "cp1250": ("Central European, of Windows", _CENTRAL),
    "cp1251": ("Cyrillic, of Windows", _CYRILLIC),
    "cp1254": ("Turkish, of Windows", ("ıİçğöşüâî",)),
    "cp1253": ("Greek, of Windows", _GREEK),
    "cp1255": ("Hebrew, of Windows", ("יוהלארתבמשנעם דקחפסכגטצןזךףץ",)),
    "cp1256": ("Arabic, of Windows", ("اليمونرتبةعدسفهكق أحجشطصىخإآذزضغظثئءؤ،؟ـپچژگکی",)),
    "cp1257": ("Baltic, of Windows", ("ąčęėįšųūž", "āčēģīķļņšūž", "õäöüšž")),
    "iso8859_2": ("Central European, Latin-2", _CENTRAL),
    "koi8_u": ("Cyrillic, KOI8", _CYRILLIC),
    "cp866": ("Cyrillic, of DOS", _CYRILLIC),
    "iso8859_5": ("Cyrillic, ISO", _CYRILLIC),
    "mac_cyrillic": ("Cyrillic, of old Macs", _CYRILLIC),
    "mac_roman": ("Western, of old Macs", _WESTERN),
    "cp850": ("Western, of DOS", _WESTERN),
    "cp852": ("Central European, of DOS", _CENTRAL),
    "cp874": ("Thai, of Windows", ("านรอกเงมยลวดทสตะปบคหแจพชขใิีึืุู่้๊๋็์ำไโัาฟซถธผภษณญ ฎฐฏฑฒฬฮฉฆศฤฯๆ",)),
}
_KANA = "".join(map(chr, range(0x3041, 0x30FF)))
# Of those with two bytes for a letter, as browsers take their names: what is read; the character set whose first bytes
# from … to … have the usual letters; and letters that hardly any text of the language lacks.
_TWO_BYTES = {
    "gb18030": ("simplified Chinese", "gb2312", 0xB0, 0xD7, "的一是不在有我中这请什么"),
    "cp950": ("traditional Chinese, Big5", "big5", 0xA4, 0xC6, "的一是不在有我中這請什麼"),
    "cp932": ("Japanese, Shift JIS", "shift_jis", 0x88, 0x97, _KANA),
    "euc_jp": ("Japanese, EUC", "euc_jp", 0xB0, 0xCF, _KANA),
    "cp949": ("Korean", "euc_kr", 0xB0, 0xC8, "이다는에을의가"),
}
ENCODINGS = (*_BYTE_EACH, *_TWO_BYTES)


@dataclass(frozen=True)
class Encoding:
    """The encoding of a text, as Python names it, and what is said of it.

    Attributes
    ----------
    name : as Python has it.
    note : "" where nothing needs to be said.
    """

    name: str
    note: str = ""


def encoding_of(path: Path, head: bytes, reading: Reading) -> Encoding | None:
    """The encoding of a text, stated or found; None of what is UTF-8 as far as its beginning shows, or not known.

    Parameters
    ----------
    path : the file, which may be packed.
    head : its beginning, unpacked.
    """
    if reading.encoding:
        return Encoding(reading.encoding)
    if name := text_encoding(head):
        return Encoding(name, "The text is UTF-16.")
    try:
        codecs.getincrementaldecoder(UTF8)().decode(head)
    except UnicodeDecodeError:
        return guess_encoding(path)
    return None


def guess_encoding(path: Path) -> Encoding | None:
    """The encoding whose letters fit a text that is not UTF-8; None where none does, or the text is damaged UTF-8."""
    lines = list(_other_lines(path))
    sample = b"".join(lines)
    if not lines or b"\0" in sample:
        return None
    fits = dict(sorted(_fits(sample), key=lambda fit: -fit[1]))
    name = next(iter(fits), "")
    text = sample.decode(name) if name else ""
    margin = _MARGIN / max(1, len(_LETTER.findall(text))) ** 0.5
    if not name or fits[name] - margin < _SURE_FIT or _is_damaged(lines, name):
        return None
    rivals = [other for other, fit in fits.items() if fit > fits[name] - margin and sample.decode(other) != text]
    if not rivals:
        example = next(word for word in re.findall(r"\w+|[^\w\s]+", text) if not word.isascii())
        note = f"it is read as {_title(name)}, as in {example[:40]!r}. If letters come out wrong, name another with"
        return Encoding(name, f"The text is not UTF-8; {note} --encoding.")
    lines_of_both = zip(text.split("\n"), sample.decode(rivals[0]).split("\n"), strict=False)
    pair = next((one, other) for one, other in lines_of_both if one != other)
    start = max(0, next(at for at, (one, other) in enumerate(zip(*pair, strict=False)) if one != other) - 15)
    ours, other_reading = (line[start : start + 30] for line in pair)
    note = (
        f"The text is not UTF-8, and its letters do not tell for certain what it is. It is read as {_title(name)}: "
        f"{ours!r}; --encoding {rivals[0]} would read {other_reading!r}. State the encoding with --encoding."
    )
    return Encoding(name, note)


def _title(name: str) -> str:
    return f"{name} ({(_BYTE_EACH.get(name) or _TWO_BYTES[name])[0]})"


def _other_lines(path: Path) -> Iterator[bytes]:
    """Lines that are not ASCII alone, the first ones of a file, and of a long line the beginning."""
    size = 0
    with byte_stream(path) as stream:
        for line in stream:
            if _OTHER.search(line):
                yield line if len(line) < _SAMPLE_BYTES else line[:_SAMPLE_BYTES].rpartition(b" ")[0] + b"\n"
                size += len(line)
                if size > _SAMPLE_BYTES:
                    return


def _is_damaged(lines: list[bytes], name: str) -> bool:
    """Whether some lines are UTF-8 and others are not; of languages whose letters look like it, a good part of them."""
    if name in _BYTE_EACH and _BYTE_EACH[name][1] in (_WESTERN, _CENTRAL):
        return any(map(_SEVERAL_BYTES.search, lines))
    utf8 = 0
    for line in lines:
        try:
            utf8 += len(_LETTER.findall(line.decode())) > 2
        except UnicodeDecodeError:
            continue
    return utf8 > _UTF8_SHARE * len(lines)


def _fits(sample: bytes) -> Iterator[tuple[str, float]]:
    """How well each encoding that reads a sample fits it, the likely ones first: 1 at most."""
    for place, (name, (_, languages)) in enumerate(_BYTE_EACH.items()):
        try:
            text = sample.decode(name)
        except UnicodeDecodeError:
            continue
        yield name, max(_fit(text, letters, "".join(languages)) for letters in languages) - place / 1000
    for name, (_, charset, first, last, usual) in _TWO_BYTES.items():
        try:
            text = sample.decode(name)
        except UnicodeDecodeError:
            continue
        letters = _LETTER.findall(text)
        fit = sum(_usual(letter, charset, first, last) for letter in letters) / len(letters)
        yield name, fit - 0.3 * (not set(usual) & set(letters))


def _fit(text: str, language: str, related: str) -> float:
    """Mean over the letters of a text that are not ASCII: 1 of the common ones of a language, less of any other."""
    common, _, rare = language.partition(" ")
    kinds = ((related, 0.4), (rare, 0.6), (common, 1.0))
    weights = {letter: weight for letters, weight in kinds for letter in letters + letters.upper()}
    total = count = 0.0
    for word in _WORD.finditer(text):
        letters, start = word.group(), word.start()
        has_lower, has_ascii = letters != letters.upper(), any(map(str.isascii, letters))
        for place, letter in enumerate(letters):
            if letter.isascii():
                continue
            weight = _MARKS.get(letter, weights.get(letter, -0.5))
            if letter in _MARKS:
                near = text[start + place - 1 : start + place], text[start + place + 1 : start + place + 2]
                weight = -0.5 if all(map(str.isalpha, near)) and letter not in _INSIDE_WORDS else weight
            elif has_ascii and common > "\u0250":  # letters of another script beside Latin ones
                weight = -0.5
            elif weight > 0 and place and letter.isupper():
                weight = -0.5 if has_lower else 0.9 * weight
            total, count = total + weight, count + 1
    return total / count


def _usual(letter: str, charset: str, first: int, last: int) -> float:
    """1 of a letter that is usual in a language of East Asia, less of any other."""
    if "\u3000" <= letter <= "\u303f" or "\uff01" <= letter <= "\uff5e" or letter in _MARKS:
        return 0.9
    if letter in _KANA:
        return 1.0
    try:
        code = letter.encode(charset)
    except UnicodeEncodeError:
        return -0.5
    return float(first <= code[0] <= last) if len(code) > 1 else 0.0


def transcoded(path: Path, encoding: str, out: Path) -> Path:
    """Write a text again in UTF-8.

    Raises
    ------
    DataError
        It is no such text, or unpacks to too much.
    """
    decoder, size = codecs.getincrementaldecoder(encoding)(), 0
    most = limits.unpacked_bytes(path.stat().st_size)
    with out.open("wb") as file:
        try:
            for chunk in chunks(path):
                size += file.write(decoder.decode(chunk).encode())
                if size > most:
                    what = f"is more than {size_text(most)} as UTF-8"
                    raise DataError(path.name, [Problem(what, "Save it as UTF-8 yourself.")])
            file.write(decoder.decode(b"", final=True).encode())
        except UnicodeError as error:
            remedy = "Name another encoding, such as --encoding cp1252, or save it as UTF-8."
            raise DataError(path.name, [Problem(f"is not {encoding}", remedy)]) from error
    return out
