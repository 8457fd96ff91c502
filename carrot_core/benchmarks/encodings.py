"""The encoding of a text that is neither UTF-8 nor UTF-16.

It is cp1252, Windows' own for English and the west of Europe, unless another is clear. What is looked at are distinct
words (runs of bytes with other than ASCII ones), so that more of the same is no more evidence; words to which only
marks add such bytes, as “this” or 5 µm, speak for cp1252. An encoding reads a word well where

- of a language in Latin letters, they all are the language's, and a word of several has an ASCII one;
- of another alphabet, they all are of it, at least half are its most common ones, and none is ASCII;
- of East Asia, at least a quarter of the characters are the language's most common ones;

and, of letters, no mark and no capital stands inside a word. Another encoding is clear if, of the words that it reads
otherwise than cp1252, it reads at least five well (in East Asia ten distinct characters) and most of them, and, of all
words, clearly more than cp1252 does. Where it is not clear but reads more, or cp1252 reads less than half, or there
are but one or two words that both read well, the text is read as cp1252 and the note shows both readings.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from carrot_core import limits
from carrot_core.benchmarks.file_checks import byte_stream, chunks
from carrot_core.benchmarks.reading import UTF8, Reading, text_encoding
from carrot_core.errors import DataError, Problem
from carrot_core.number_formats import size_text

_USUAL = "cp1252"
_SCANNED_BYTES = 1 << 17  # of lines with other bytes than ASCII
_SAMPLE_BYTES = 1 << 12  # of distinct words
_FEW_WORDS = 3  # below it another encoding that reads them as well is mentioned
_ENOUGH_WORDS = 5  # that another encoding than the usual one reads well
_CHARACTERS_OF_A_WORD = 2  # in East Asia, where no space parts words
_CLEAR_SHARE = 0.65  # of the words that it reads otherwise, read well by another encoding
_CLEAR_LEAD = 0.3  # of all words, read well by another encoding and not by the usual one
_DOUBT_LEAD = 0.1  # from which on another encoding is mentioned
_UTF8_SHARE = 0.1  # of the words, from which on a text is damaged UTF-8
# Two bytes of a letter may have an ASCII one as the second, but none of those before "@", which are no digits.
_OTHER_WORD = re.compile(rb"[^\x00-/:-?]*[\x80-\xff][^\x00-/:-?]*")
_BETWEEN_WORDS = re.compile(r"\\[nrt]|[]\[{}|~^`@\\‘’“”–—…·•×÷±°\u00ad]+")
_NO_TEXT = re.compile(r"[\x80-\x9f\ue000-\uf8ff]")  # controls, and characters of private use
_MARKS = frozenset(bytes(range(0xA0, 0xC0)).decode(_USUAL) + "×÷€‚„†‡‰ˆ˜‹›™‘’“”•–—…№")
_AT_ENDS = "".join(_MARKS) + "0123456789"

_WESTERN = (
    "éèàêçùâîôûëïüœ", "äöüßé", "óáíñéúü", "ãçáéêíóõâàú", "åäöéæø", "àèéìòù", "éëïèöü", "àçéèíïóòúü", "áðéíóúýþæö",
)  # fmt: skip
_CENTRAL = ("ąęłóśżćńź", "íáéěýčřšžůúťďňó", "áíýéčšžľúťôňďäĺŕó", "éáöóőüíúű", "ăâîşţ", "čšžćđ")
_CYRILLIC = ("оеаинтсрвлкміј дпуяыьгзбчйхжшюцщэфъёђєїљњћќўџґ",)
# What is read, and the letters of each language; of other alphabets than the Latin one, first the most common letters.
_ALPHABETS = {
    _USUAL: ("Western, of Windows", _WESTERN),
    "cp1251": ("Cyrillic, of Windows", _CYRILLIC),
    "cp1250": ("Central European, of Windows", _CENTRAL),
    "iso8859_2": ("Central European, Latin-2", _CENTRAL),
    "koi8_u": ("Cyrillic, KOI8", _CYRILLIC),
    "cp866": ("Cyrillic, of DOS", _CYRILLIC),
    "cp1253": ("Greek, of Windows", ("αοιετσνηυρπκς μλωγδχθφβξζψάέήίόύώϊϋΐΰ",)),
    "cp1254": ("Turkish, of Windows", ("ıİçğöşüâî",)),
    "cp1255": ("Hebrew, of Windows", ("יוהלארתבמשנ עדקחפסכגטצזםןךףץ",)),
    "cp1256": ("Arabic, of Windows", ("اليمونرتبة عدسفهكقأحجشطصىخإآذزضغظثئءؤ،؟ـپچژگک",)),
}
_KANA = "".join(map(chr, range(0x3041, 0x30FF)))
# What is read, by the names that Python has for what browsers read, and the language's most common characters.
_EAST_ASIAN = {
    "gb18030": (
        "simplified Chinese",
        "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里用道行所然家种事成"
        "方多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实日"
        "请问什哪翻译写答案句英语文字解释通城市首让把给几今高兴喜欢海京否错",
    ),
    "cp950": (
        "traditional Chinese, Big5",
        "的一是不了在人有我他這個們中來上大為和國地到以說時要就出會可也你對生能而子那得於著下自之年過發後作裡用道行所然家種事成"
        "方多經麼去法學如都同現當沒動面起看定天分還進好小部其些主樣理心她本前開但因只從想實日"
        "請問什哪翻譯寫答案句英語文字解釋通城市首讓把給幾今高興喜歡海京台臺否錯",
    ),
    "cp932": ("Japanese, Shift JIS", _KANA),
    "euc_jp": ("Japanese, EUC", _KANA),
    "cp949": (
        "Korean",
        "이다는에을의가하고지한기사를도리어자나인아그은있로서대시해부들과일정수라보게만상장제전거안주면원여소국니구스습까중조마위유"
        "공모경무신비문성관생동드으없었오민요세했음방내화작러적말결연우식분때년물할야울미진선저실개바너답질번역영문입와무엇",
    ),
}  # fmt: skip
ENCODINGS = (*_ALPHABETS, *_EAST_ASIAN)


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
        return Encoding(name, f"The text is {name[:6].upper()}.")
    try:
        codecs.getincrementaldecoder(UTF8)().decode(head)
    except UnicodeDecodeError:
        return guess_encoding(path)
    return None


def guess_encoding(path: Path) -> Encoding | None:
    """The encoding of a text that is not UTF-8; None where none reads it, or it is damaged UTF-8."""
    return _encoding_of_words(tuple(_other_words(path)))


def _other_words(path: Path) -> dict[bytes, None]:
    """Distinct words with other bytes than ASCII, the first ones of a file."""
    words: dict[bytes, None] = {}
    scanned = size = 0
    with byte_stream(path) as stream:
        for line in stream:
            if line.isascii():
                continue
            begin = line if len(line) < _SCANNED_BYTES else line[:_SCANNED_BYTES].rpartition(b" ")[0]
            scanned += len(line)
            for word in _OTHER_WORD.findall(begin):
                size += len(word) * (word not in words)
                words[word] = None
                if size > _SAMPLE_BYTES:
                    return words
            if scanned > _SCANNED_BYTES:
                break
    return words


@lru_cache(maxsize=64)
def _encoding_of_words(words: tuple[bytes, ...]) -> Encoding | None:
    """As `guess_encoding`, by the words of a file, which is looked at for a preview and again when it is read."""
    texts = {name: text for name in ENCODINGS if (text := _decoded(words, name))}
    usual = texts.pop(_USUAL, None)
    looked_at = [at for at, word in enumerate(words) if not _only_marks_add_to(word)]
    if usual and not looked_at:
        return Encoding(_USUAL, _note(_USUAL, usual))
    if sum(_is_utf8(words[at]) for at in looked_at) > _UTF8_SHARE * len(words):
        return None
    ours = _read_well(_USUAL, usual, looked_at) if usual else set()
    rivals = [
        (name, text, _read_well(name, text, looked_at))
        for name, text in texts.items()
        if usual is None or text != usual
    ]
    if not rivals:
        return Encoding(_USUAL, _note(_USUAL, usual)) if usual else None
    name, text, theirs = max(rivals, key=lambda rival: (len(rival[2]), -len("".join(rival[1]))))
    other = {at for at in looked_at if usual is None or text[at] != usual[at]}
    count = len(theirs & other)
    share = count / max(1, len(other))
    lead = (len(theirs) - len(ours)) / len(words)
    if name in _EAST_ASIAN:
        letters = {letter for at in theirs & other for letter in text[at] if not letter.isascii()}
        count = len(letters) // _CHARACTERS_OF_A_WORD
    if count >= _ENOUGH_WORDS and share >= _CLEAR_SHARE and lead >= _CLEAR_LEAD:
        return Encoding(name, _note(name, text))
    if usual is None:
        return Encoding(name, _doubt(name, text)) if share > _CLEAR_SHARE else None
    few = len(words) < _FEW_WORDS and share > 0
    if 2 * (len(looked_at) - len(ours)) > len(words) or lead > _DOUBT_LEAD or (few and lead >= 0):
        return Encoding(_USUAL, _doubt(_USUAL, usual, name, text))
    return Encoding(_USUAL, _note(_USUAL, usual))


def _note(name: str, text: list[str]) -> str:
    example = f"it is read as {_title(name)}, as in {text[0][:40]!r}"
    return f"The text is not UTF-8; {example}. If letters come out wrong, name another with --encoding."


def _doubt(name: str, text: list[str], rival: str = "", other: list[str] | None = None) -> str:
    """What is said where another encoding is as likely, or none likely: an example as each reads it."""
    places = [at for at in range(len(text)) if other is None or text[at] != other[at]]
    ours = " ".join(text[at] for at in places)[:30]
    theirs = " ".join(other[at] for at in places)[:30] if other else ""
    return (
        f"The text is not UTF-8, and its letters do not tell for certain what it is. It is read as {_title(name)}: "
        f"{ours!r}{f'; --encoding {rival} would read {theirs!r}' if rival else ''}. "
        "State the encoding with --encoding."
    )


def _title(name: str) -> str:
    return f"{name} ({(_ALPHABETS.get(name) or _EAST_ASIAN[name])[0]})"


def _decoded(words: tuple[bytes, ...], name: str) -> list[str] | None:
    """Each word as an encoding reads it; None where one is not of the encoding."""
    try:
        text = [word.decode(name) for word in words]
    except UnicodeDecodeError:
        return None
    return None if _NO_TEXT.search("".join(text)) else text


def _pieces(text: str) -> list[str] | None:
    """What has other letters than ASCII, without marks at its ends; None where a mark or a capital is inside."""
    pieces = [piece.strip(_AT_ENDS) for piece in _BETWEEN_WORDS.split(text)]
    pieces = [piece for piece in pieces if not piece.isascii()]
    for piece in pieces:
        capital = piece != piece.upper() and any(not c.isascii() and c.isupper() for c in piece[1:])
        if capital or not _MARKS.isdisjoint(piece):
            return None
    return pieces


def _only_marks_add_to(word: bytes) -> bool:
    return _pieces(word.decode(_USUAL, errors="replace")) == []


def _is_utf8(word: bytes) -> bool:
    """Whether a word is UTF-8, and not by chance as one that cp1252 reads well, such as “Spaß” with its last quote."""
    try:
        letters = word.decode()
    except UnicodeDecodeError:
        return False
    text = _decoded((word,), _USUAL)
    is_western = letters == letters.encode(_USUAL, errors="replace").decode(_USUAL)
    return is_western or not text or not _read_well(_USUAL, text, [0])


def _read_well(name: str, text: list[str], places: list[int]) -> set[int]:
    """The places of words that an encoding reads well, of the language of which it reads most."""
    if name in _EAST_ASIAN:
        common = frozenset(_EAST_ASIAN[name][1])
        others = {at: [letter for letter in text[at] if not letter.isascii()] for at in places}
        return {at for at, letters in others.items() if 4 * sum(map(common.__contains__, letters)) >= len(letters)}
    pieces = {at: _pieces(text[at]) for at in places}
    well = (
        {at for at, words in pieces.items() if words and all(_is_word(word, language) for word in words)}
        for language in _ALPHABETS[name][1]
    )
    return max(well, key=len)


def _is_word(piece: str, language: str) -> bool:
    """Whether a piece has the letters of a language."""
    common, _, rare = _both_cases(language).partition(" ")
    others = [letter for letter in piece if not letter.isascii()]
    if not set(others) <= {*common, *rare}:
        return False
    has_ascii = any(letter.isascii() and letter.isalpha() for letter in piece)
    return (
        2 * sum(map(common.__contains__, others)) >= len(others) and not has_ascii
        if rare
        else (has_ascii or len(others) == 1)
    )


@cache
def _both_cases(language: str) -> str:
    return " ".join(letters + letters.upper() for letters in language.split(" "))


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
