"""Tables of text as people write them: any separator, decimal sign, encoding, line end and quote; and what is wrong."""

from __future__ import annotations

import csv
import gzip
import io
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carrot_core import limits
from carrot_core.benchmarks import Frames, encodings
from carrot_core.benchmarks.encodings import guess_encoding
from carrot_core.benchmarks.formats.head import preview
from carrot_core.benchmarks.parts import how_read
from carrot_core.benchmarks.reading import FOUND, Reading, dialect_of
from carrot_core.benchmarks.registry import read_any
from carrot_core.errors import DataError, Problem
from tests.tables import long_table, write

FUZZ = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
PARTS = ("prompts", "models", "outcomes")


def refused(path: Path, **options: object) -> Problem:
    with pytest.raises(DataError) as caught:
        read_any(path, **options)  # type: ignore[arg-type]
    return caught.value.problems[0]


def text_of(table: pd.DataFrame, **options: object) -> str:
    text: str = table.to_csv(index=False, **options)  # type: ignore[call-overload]
    return text


def same(result: Frames, expected: Frames) -> None:
    for part in PARTS:
        pd.testing.assert_frame_equal(getattr(result, part), getattr(expected, part), check_exact=True)


@st.composite
def dialects(draw: st.DrawFn) -> dict[str, str]:
    """How a file is written, such that a reader can find it."""
    separator = draw(st.sampled_from([",", ";", "\t", "|", "^", "~"]))
    return {
        "separator": separator,
        "decimal": draw(st.sampled_from([".", ","])),
        "encoding": draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])),
        "end": draw(st.sampled_from(["\n", "\r\n", "\r", "mixed"])),
        "quotes": draw(st.sampled_from(["double", "backslash"])),
        "name": draw(st.sampled_from(["t.csv", "t.tsv", "t.txt", "t.csv.gz", "t.dat"])),
    }


TEXT = st.text(st.sampled_from('aé,;|\t"\\ \n^~ß'), max_size=12).map(lambda text: f"Why {text}?")


def written(table: pd.DataFrame, dialect: dict[str, str]) -> bytes:
    """The bytes of a table in a dialect, made by Python's own writer."""
    out = io.StringIO()
    double = dialect["quotes"] == "double"
    writer = csv.writer(
        out,
        delimiter=dialect["separator"],
        quoting=csv.QUOTE_ALL if not double else csv.QUOTE_MINIMAL,
        doublequote=double,
        escapechar=None if double else "\\",
        lineterminator="\n",
    )
    writer.writerow(table.columns)
    for number, row in enumerate(table.itertuples(index=False)):
        cells = [str(cell).replace(".", dialect["decimal"]) if isinstance(cell, float) else cell for cell in row]
        begin = out.tell()
        writer.writerow(cells)
        end = {"mixed": ("\n", "\r\n")[number % 2]}.get(dialect["end"], dialect["end"])
        if end != "\n":
            out.seek(out.tell() - 1)
            out.truncate()
            out.write(end)
        assert out.tell() > begin
    text = out.getvalue()
    raw = text.encode(dialect["encoding"])
    return gzip.compress(raw) if dialect["name"].endswith(".gz") else raw


@pytest.mark.slow
@FUZZ
@given(dialect=dialects(), texts=st.lists(TEXT, min_size=3, max_size=3))
def test_a_table_reads_the_same_in_every_dialect(tmp_path: Path, dialect: dict[str, str], texts: list[str]) -> None:
    table = long_table(n_prompts=3)
    # Without any escaped quote nothing shows that backslashes are escaped too.
    prompts = [f'"{text}"' for text in texts]
    path = tmp_path / dialect["name"]
    path.write_bytes(written(table.assign(prompt=np.repeat(prompts, 2)), dialect))
    frames = read_any(path)
    path.unlink()
    assert frames.prompts["text"].tolist() == prompts
    pd.testing.assert_frame_equal(frames.outcomes, table[frames.outcomes.columns], check_dtype=False, check_exact=True)


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_another_separator_than_the_name_lets_expect_is_found_and_said(tmp_path: Path, separator: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text_of(long_table(), sep=separator))
    assert any("--separator" in note for note in read_any(path).warnings)
    assert list(preview(path, 2).columns) == list(long_table().columns)
    assert read_any(path, reading=Reading(separator=separator)).warnings == ()


def test_the_stated_separator_overrides_the_one_found(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text_of(long_table(), sep=";"))
    assert "missing" in refused(path, reading=Reading(separator="|")).message


def test_the_line_that_a_spreadsheet_puts_first_is_no_row(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("sep=;\n" + text_of(long_table(), sep=";"))
    assert len(read_any(path).outcomes) == len(long_table())
    lines = path.read_text().split("\n")
    path.write_text("\n".join([*lines[:5], "a;b", *lines[5:]]))
    problem = refused(path)
    assert problem.row == 4
    assert "line 6" in problem.message


# The decimal sign


def numbers(tmp_path: Path, tokens: list[str], score: str = "1") -> Path:
    rows = [f'p{n};{model};{score};"{count}";1' for n, count in enumerate(tokens) for model in ("a", "b")]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["prompt_id;model;score;input_tokens;cost_usd", *rows]))
    return path


def test_a_comma_that_may_be_either_is_refused_until_it_is_stated(tmp_path: Path) -> None:
    path = numbers(tmp_path, ["1,234", "5,678"])
    problem = refused(path)
    assert "--decimal" in problem.remedy
    assert "1,234" in str(problem.value)
    assert read_any(path, reading=Reading(decimal=".")).outcomes["input_tokens"].max() == 5678
    assert read_any(path, reading=Reading(decimal=",")).outcomes["input_tokens"].max() == 5.678


@pytest.mark.parametrize(
    ("tokens", "score", "largest"),
    [
        (["1,234", "5,678.5"], "1", 5678.5),
        (["1,234", "1,234,567"], "1", 1234567),
        (["1,234", "12"], "0.5", 1234),
        (["1.234,5", "12"], "1", 1234.5),
        (["1.234", "12"], "0,5", 1234),
        (["0,123", "12"], "1", 12),
        (["1.234", "12"], "0,5 %", 1234),
    ],
)
def test_what_other_numbers_show_decides_about_a_comma(
    tmp_path: Path, tokens: list[str], score: str, largest: float
) -> None:
    reading = Reading(score="percent" if "%" in score else None)
    frames = read_any(numbers(tmp_path, tokens, score), reading=reading)
    assert frames.outcomes["input_tokens"].max() == largest
    assert any("omma" in note for note in frames.warnings)


def test_points_beside_decimal_commas_are_told_by_row(tmp_path: Path) -> None:
    problem = refused(numbers(tmp_path, ["12", "0.51"], score="0,5"))
    assert (problem.column, problem.row) == ("score", 1)


@pytest.mark.parametrize(
    ("tokens", "score", "decimal", "largest"),
    [
        (["1.201", "900"], "1", None, None),
        (["1.201", "900"], "1", ",", 1201),
        (["1.201", "900"], "1", ".", 900),
        (["1.201", "900.5"], "1", None, 900.5),
        (["512.333", "900"], "0.25", None, 900),
        (["1.000", "12.000"], "1", None, 12),
        (["1.000", "900"], "1", None, None),
        (["500.000", "nan", "0", "502.000"], "1", None, 502),
        (["1.000.000", "900"], "1", None, None),
        (["12.0", "900"], "1", None, 900),
    ],
)
def test_a_point_in_counts_is_refused_where_it_may_stand_between_thousands(
    tmp_path: Path, tokens: list[str], score: str, decimal: str | None, largest: float | None
) -> None:
    path = numbers(tmp_path, tokens, score)
    if largest is None:
        assert "--decimal ," in refused(path).remedy
        assert refused(path).column == "input_tokens"
        return
    frames = read_any(path, reading=Reading(decimal=decimal))
    assert frames.outcomes["input_tokens"].max() == largest
    fractions = frames.outcomes["input_tokens"] % 1
    assert any("not whole" in note for note in frames.warnings) == bool(fractions.any())


@pytest.mark.parametrize(("cell", "decimal"), [("1_0", None), ("1_000", "."), ("1_0", ","), ("0.001", ",")])
def test_what_is_no_number_as_people_write_them_is_refused(tmp_path: Path, cell: str, decimal: str | None) -> None:
    problem = refused(numbers(tmp_path, [cell]), reading=Reading(decimal=decimal))
    assert (problem.row, problem.column, problem.value) == (1, "input_tokens", repr(cell))


@pytest.mark.parametrize(
    ("cells", "largest"),
    [
        (["1'234'567"], 1_234_567), (["1’234.5"], 1234.5), (["1'234,25", "0,5"], 1234.25),
        (["12,34,567.8", "900"], 1_234_567.8), (["1,23,456"], 123_456),
        (["1 234", "1\u202f234,5"], 1234.5), (["1\u00a0234", "0.5"], 1234),
    ],
)  # fmt: skip
def test_signs_between_thousands_in_other_countries_are_read_and_said(
    tmp_path: Path, cells: list[str], largest: float
) -> None:
    frames = read_any(numbers(tmp_path, cells))
    assert frames.outcomes["input_tokens"].max() == largest
    assert any("thousands" in note for note in frames.warnings)


@pytest.mark.parametrize("cell", ["1'23", "12 34", "1'234 567'8", "1,23,45"])
def test_groups_of_another_length_are_no_thousands(tmp_path: Path, cell: str) -> None:
    problem = refused(numbers(tmp_path, [cell]))
    assert (problem.row, problem.column, problem.value) == (1, "input_tokens", repr(cell))


@pytest.mark.parametrize(
    ("above", "column"),
    [
        (",gpt,gpt,claude,claude\nprompt_id,score,cost_usd,score,cost_usd", "gpt"),
        ("prompt_id,gpt,,claude,\n,score,cost_usd,score,cost_usd", "gpt"),
        (",gpt,claude,gpt,claude\nprompt_id,score,score,cost_usd,cost_usd", "gpt"),
        ("model,gpt,gpt,claude,claude\n,score,cost_usd,score,cost_usd\nprompt_id,,,,", "gpt"),
    ],
)
def test_a_header_of_two_rows_is_refused_by_the_cell_that_shows_it(tmp_path: Path, above: str, column: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"{above}\nq1,1,0.1,0,0.2\nq2,0,0.1,1,0.2\n")
    problem = refused(path)
    assert (problem.row, problem.column, problem.value) == (1, column, "'score'")
    assert "two rows" in problem.message
    assert "|cost_usd" in problem.remedy


def test_words_for_right_below_the_header_are_no_names(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("prompt_id,a,b,a|cost_usd,b|cost_usd\nq1,correct,correct,1,2\nq2,wrong,correct,1,2\n")
    frames = read_any(path, reading=Reading(score="correct/wrong"))
    assert sorted(frames.outcomes["score"]) == [0, 1, 1, 1]


def test_a_decimal_comma_in_a_wide_table(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("prompt_id;a;a|cost_usd;b;b|cost_usd\np;0,25;0,5;1;0,125\n")
    frames = read_any(path)
    assert frames.outcomes["score"].tolist() == [0.25, 1.0]
    assert frames.outcomes["cost_usd"].tolist() == [0.5, 0.125]


# Encodings


def test_western_text_of_windows_is_read_and_said(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(text_of(long_table(models=("gro\xdf", "café"))).encode("cp1252"))
    frames = read_any(path)
    assert frames.models["model"].tolist() == ["café", "gro\xdf"]
    assert any("--encoding" in note for note in frames.warnings)


# Distinct texts, the encoding each is written in, the one it is to be read in, and whether that is certain. Each is
# written many times, as answers are: more of the same is no more evidence.
CZECH = (
    "Které město je hlavním městem České republiky? Při jaké teplotě se vaří voda? Přelož do angličtiny: "
    "Dnes jsem velmi šťastný. Napiš krátkou báseň o jaru a řekni, kolik je hodin."
)
POLISH = (
    "Które miasto jest stolicą Polski? Przetłumacz zdanie: dziś jestem bardzo szczęśliwy. Napisz krótki wiersz o "
    "wiośnie, a potem podaj, ile kosztuje bilet na pociąg do Łodzi i gdzie można go kupić."
)
RUSSIAN = (
    "Какой город является столицей России? При какой температуре кипит вода? Переведи на английский: сегодня я "
    "очень счастлив. Напиши короткое стихотворение о весне."
)
GREEK = "Ποια είναι η πρωτεύουσα της Ελλάδας; Σε ποια θερμοκρασία βράζει το νερό;"
HEBREW = "מהי בירת ישראל? תרגם את המשפט הבא לאנגלית: אני שמח מאוד היום."
ARABIC = "ما هي عاصمة مصر؟ ترجم الجملة التالية إلى الإنجليزية: أنا سعيد جدا اليوم."
CHINESE = "中国的首都是哪个城市？水在多少度时沸腾？请把下面的句子翻译成英语：我今天很高兴。写一首关于春天的短诗。"
TAIWANESE = "中國的首都是哪個城市？水在多少度時沸騰？請把下面的句子翻譯成英語：我今天很高興。寫一首關於春天的短詩。"
JAPANESE = "日本の首都はどこですか。水は何度で沸騰しますか。次の文を英語に訳してください。今日はとても嬉しいです。"
KOREAN = "한국의 수도는 어디입니까? 물은 몇 도에서 끓습니까? 다음 문장을 영어로 번역하세요: 오늘 나는 매우 행복합니다."
FRENCH = (
    "À quelle température l’eau bout-elle ? Où est la forêt ? Ça va à merveille : j’ai déjà mangé une crème brûlée…"
)
GERMAN = (
    "Übersetze: „Ich bin heute sehr glücklich.“ Welche Straße führt nach Köln? Nenne fünf schöne Städte. Größe: 5 °C."
)
SPANISH = (
    "¿Cuál es la capital de España? ¿A qué temperatura hierve el agua? Mañana iré al médico; será rápido, ¡sí señor!"
)
ENCODED = [
    *[(text, "cp1252", "cp1252", True) for text in (
        "± 3", "• a ± b", "“x” – 5 × 3", "co\u00adop", "•", "3×4", "½ cup", "5 µm", "© 2020", "it’s", "E = mc²", "hr°C",
        "25 °C – “now”\nBrønsted\nDoregelès\nNiño\nværket\n° ± 3\n• “a”",
        "® ™ § · ÷ ¶ ¢ ¥ † ‰", *(f"• point {number} costs ± 3 × 4" for number in range(3)), FRENCH, GERMAN, SPANISH,
        "élève\nmère\nà la fenêtre", "für\nSpaß“\n»Spaß«\nmuß…",
    )],
    (CZECH, "cp1250", "cp1250", True),
    (POLISH, "cp1250", "cp1250", True),
    (POLISH, "iso8859_2", "iso8859_2", True),
    (RUSSIAN, "cp1251", "cp1251", True),
    (RUSSIAN.upper(), "cp1251", "cp1251", True),
    (RUSSIAN, "koi8_r", "koi8_u", True),
    (RUSSIAN.upper(), "koi8_r", "koi8_u", True),
    (RUSSIAN, "cp866", "cp866", True),
    (GREEK, "cp1253", "cp1253", True),
    (HEBREW, "cp1255", "cp1255", True),
    (ARABIC, "cp1256", "cp1256", True),
    (CHINESE, "gbk", "gb18030", True),
    (TAIWANESE, "big5", "cp950", True),
    (JAPANESE, "shift_jis", "cp932", True),
    (JAPANESE, "euc_jp", "euc_jp", True),
    (KOREAN, "cp949", "cp949", True),
    *[(text, encoding, rival, False) for text, encoding, rival in (
        ("СТОЛИЦА РОССИИ", "cp1251", "cp1251"), ("да нет", "cp1251", "cp1251"), ("你好", "gbk", "gb18030"),
        ("答案：A。", "gbk", "gb18030"), ("台北", "big5", "cp950"), ("대한민국 수도", "cp949", "cp949"),
        ("la crème", "cp1252", "cp1250"),
    )],
]  # fmt: skip


@pytest.mark.parametrize(("text", "encoding", "expected", "certain"), ENCODED)
def test_text_is_windows_own_unless_another_encoding_is_clear(
    tmp_path: Path, text: str, encoding: str, expected: str, certain: bool
) -> None:
    path = tmp_path / "t.csv"
    rows = [f'q{number},"{line}",a' for number, line in enumerate(text.split("\n") * 100)]
    path.write_bytes("\n".join(["id,text,model", *rows]).encode(encoding))
    guess = guess_encoding(path)
    assert guess is not None
    assert guess.name == (expected if certain else "cp1252")
    assert ("certain" not in guess.note) == certain
    if not certain:
        other = path.read_bytes().decode(expected).split('"')[1]
        assert f"--encoding {expected} " in guess.note
        assert set(other.split()[-1]) <= set(guess.note)


def test_a_text_is_judged_once_by_a_sample_of_its_words(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    words = "\n".join(f"q{number},слово{number}" for number in range(5_000))
    path.write_bytes(f"id,text\n{words}".encode("cp1251"))
    before = encodings._encoding_of_words.cache_info().misses
    assert {guess_encoding(path), guess_encoding(path)} == {guess_encoding(path)}
    assert encodings._encoding_of_words.cache_info().misses == before + 1
    assert len(encodings._other_words(path)) < 1_000


@pytest.mark.parametrize("line", ["Größe für Köln", "Какой город", "中国的首都", "it’s “good”", "é"])
def test_utf8_with_a_line_of_another_encoding_is_damaged(tmp_path: Path, line: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(f"{line}\n".encode() * 9 + "naïve\n".encode("cp1252"))
    assert guess_encoding(path) is None


def test_a_chinese_table_is_read_and_previewed_by_its_own_names(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    table = long_table(models=("通义千问", "文心一言")).rename(columns={"prompt": "请问的问题"})
    path.write_bytes(text_of(table).encode("gbk"))
    frames = read_any(path, columns={"prompt": "请问的问题"})
    assert frames.models["model"].tolist() == ["文心一言", "通义千问"]
    assert any("gb18030" in note for note in frames.warnings)
    assert "请问的问题" in preview(path, 1).columns
    assert "GB18030" in how_read(path, FOUND)


def test_bytes_that_are_letters_of_no_language_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    noise = bytes(value for value in range(128, 256) for _ in range(2))
    path.write_bytes(text_of(long_table()).encode() + b'p0,other,"' + noise + b'",1')
    assert "--encoding" in refused(path).remedy


def test_a_stated_encoding_is_used_and_checked(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(text_of(long_table(models=("模型", "型"))).encode("shift_jis", errors="replace"))
    assert "型" in read_any(path, reading=Reading(encoding="shift_jis")).models["model"].tolist()
    path.write_bytes(b"\x81" + path.read_bytes())
    assert "--encoding" in refused(path, reading=Reading(encoding="cp1252")).remedy


@pytest.mark.parametrize("encoding", ["utf-32", "utf-16"])
def test_text_with_a_mark_is_read_and_said(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(text_of(long_table()).encode(encoding))
    frames = read_any(path)
    assert any(encoding.upper() in note for note in frames.warnings)
    same(frames, read_any(write(long_table(), tmp_path / "w.csv")))


@pytest.mark.parametrize("stated", [{"encoding": "nope"}, {"separator": "ab"}, {"separator": '"'}, {"decimal": "x"}])
def test_what_cannot_be_is_refused_when_stated(stated: dict[str, str]) -> None:
    with pytest.raises(DataError):
        Reading(**stated)


# Rows at fault


def lines_of(tmp_path: Path) -> tuple[Path, list[str]]:
    path = tmp_path / "t.csv"
    return path, text_of(long_table(n_prompts=40)).split("\n")


@pytest.mark.parametrize("row", [1, 17, 80])
@pytest.mark.parametrize(("change", "value"), [(lambda line: line + ",surplus", "surplus"), (lambda line: "p9,m", "m")])
def test_a_row_of_another_length_is_named_with_its_line_and_value(
    tmp_path: Path, row: int, change: object, value: str
) -> None:
    path, lines = lines_of(tmp_path)
    lines[row] = change(lines[row])  # type: ignore[operator]
    path.write_text("\n".join(lines))
    problem = refused(path)
    assert problem.row == row
    assert f"line {row + 1}" in problem.message
    assert value in (problem.value or "")
    assert problem.remedy


def test_a_line_number_counts_the_lines_inside_values(tmp_path: Path) -> None:
    path, lines = lines_of(tmp_path)
    lines[3] = lines[3].replace("Question", "Question\n\n")
    lines[9] += ",surplus"
    path.write_text("\n".join(lines))
    problem = refused(path)
    assert problem.row == 9
    assert "line 12" in problem.message


def test_an_open_quote_and_a_quote_inside_a_value_are_named(tmp_path: Path) -> None:
    path, lines = lines_of(tmp_path)
    path.write_text("\n".join([*lines[:5], '"p2,small,1,never closed', *lines[5:]]))
    assert "line 6" in refused(path).message
    path.write_text("\n".join([*lines[:5], lines[5].replace("Question", 'Que"stion'), *lines[6:]]))
    problem = refused(path)
    assert problem.row == 5
    assert "twice" in problem.remedy


def test_a_backslash_before_a_quote_outside_quotes_is_told(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('prompt_id,model,score,cost_usd,prompt\np,a,1,1,say \\"it\\"\np,b,1,1,say \\"it\\"\n')
    assert any("ackslash" in note for note in read_any(path).warnings)
    path.write_text('prompt_id,model,score,cost_usd,prompt\np,a,1,1,"say \\""it\\"""\np,b,1,1,"say \\""it\\"""\n')
    frames = read_any(path)
    assert frames.prompts["text"].tolist() == ['say \\"it\\"']
    assert not any("ackslash" in note for note in frames.warnings)


def test_a_separator_at_the_end_of_every_row_adds_no_column(tmp_path: Path) -> None:
    path, (header, *lines) = lines_of(tmp_path)
    path.write_text("\n".join([header, *(line + "," for line in lines if line)]))
    same(read_any(path), read_any(write(long_table(n_prompts=40), tmp_path / "w.parquet")))


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl"])
def test_a_row_of_megabytes_is_read_up_to_the_stated_limit(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = long_table()
    table.loc[[4, 5], "prompt"] = "x" * 2_500_000 + '"'
    frames = read_any(write(table, tmp_path / name))
    assert frames.prompts["text"].str.len().max() == 2_500_001
    if name == "t.csv":
        monkeypatch.setattr(limits, "ROW_BYTES", 2_000_000)
        problem = refused(tmp_path / name)
        assert problem.row == 5
        assert "line 6" in problem.message


# JSON lines


def json_lines(tmp_path: Path, change: dict[int, str]) -> Path:
    lines = [json.dumps(row) for row in long_table(n_prompts=40).to_dict("records")]
    path = tmp_path / "t.jsonl"
    path.write_text("\n".join(change.get(number, line) for number, line in enumerate(lines, 1)) + "\n")
    return path


@pytest.mark.parametrize(
    ("line", "text"),
    [(1, '{"prompt_id": "p0", '), (1, "[1]"), (2, "[1]"), (61, "nonsense"), (61, '{"a": 1}}'), (80, '{"a": 1, ')],
)
def test_a_broken_line_of_json_is_named_by_its_own_number(tmp_path: Path, line: int, text: str) -> None:
    problem = refused(json_lines(tmp_path, {line: text}), format="long")
    assert f"line {line} " in problem.message
    assert problem.row == line


def test_a_key_twice_is_named_by_its_line(tmp_path: Path) -> None:
    problem = refused(json_lines(tmp_path, {61: '{"prompt_id": "p", "model": "m", "score": 0, "score": 1}'}))
    assert (problem.row, problem.column) == (61, "score")
    assert "twice" in problem.message


def test_a_key_twice_inside_an_object_that_a_column_is_read_from_is_named_too(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    rows = [f'{{"prompt_id": "q", "model": "{model}", "score": 1, "u": {{"c": 1}}}}' for model in "ab"]
    path.write_text("\n".join(rows).replace('"c": 1', '"c": 1, "c": 2', 1))
    problem = refused(path, columns={"cost_usd": "u.c"})
    assert (problem.row, problem.column) == (1, "c")


@pytest.mark.parametrize("name", ["average", "Total", "2025-03-04"])
def test_a_sum_or_a_date_among_ids_or_models_is_said(tmp_path: Path, name: str) -> None:
    path = tmp_path / "t.csv"
    for prompt, model in (("q", name), (name, "b")):
        path.write_text(f"prompt_id,model,score,cost_usd\nq,a,1,1\nq,b,0,1\n{prompt},{model},0.5,1\n")
        assert any(repr(name) in note for note in read_any(path).warnings)


def test_a_key_twice_in_a_document_is_named_by_its_record(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_text(
        '[{"prompt_id": "p", "model": "m", "score": 1},\n{"prompt_id": "p", "model": "n", "score": {"a": 1, "a": 0}}]'
    )
    problem = refused(path)
    assert (problem.row, problem.column) == (2, "a")
    assert "record 2" in problem.message


def test_half_a_character_in_a_document_is_named_by_its_record(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    records = long_table().assign(prompt="hi").to_dict("records")
    path.write_text(json.dumps([*records[:1], {**records[1], "prompt": "\ud83d"}, *records[2:]], indent=1))
    assert any("Record 2, column 'prompt'" in note for note in read_any(path).warnings)


def test_ids_that_read_as_nothing_are_named(tmp_path: Path) -> None:
    table = long_table().replace({"prompt_id": {"p0": "NA"}})
    table.to_csv(tmp_path / "t.csv", index=False)
    assert any("'NA'" in note and "prompts" in note for note in read_any(tmp_path / "t.csv").warnings)


def test_half_a_character_costs_its_cell_alone(tmp_path: Path) -> None:
    record = long_table(n_prompts=40).to_dict("records")[30]
    text = json.dumps(record | {"answer": "cut \ud83d", "smile": "\U0001f600"})
    path = json_lines(tmp_path, {31: text})
    frames = read_any(path)
    same(frames, read_any(json_lines(tmp_path, {})))
    assert any("Line 31" in note and "answer" in note for note in frames.warnings)
    problem = refused(json_lines(tmp_path, {31: json.dumps(record | {"model": "\udc00"})}))
    assert (problem.row, problem.column) == (31, "model")


# Names and objects


def test_a_note_names_columns_as_the_file_does(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    for columns in (["score", "Score"], ["Score", "score"]):
        table = long_table().assign(Score=7)[["prompt_id", "model", *columns, "cost_usd"]]
        path.write_text(text_of(table))
        frames = read_any(path)
        assert any(note.endswith("not kept: Score.") for note in frames.warnings)
        assert frames.outcomes["score"].tolist() == long_table()["score"].tolist()


def test_of_two_columns_of_one_name_the_first_is_read_and_told(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text_of(long_table().assign(last=7).rename(columns={"last": "score"})))
    frames = read_any(path)
    assert any("'score'" in note and "first" in note for note in frames.warnings)
    assert not any("score_1" in note for note in frames.warnings)
    assert frames.outcomes["score"].tolist() == long_table()["score"].tolist()


def nested(name: str, tmp_path: Path) -> Path:
    rows = [
        {
            "prompt_id": row["prompt_id"],
            "by": {"id": row["model"], "tags": ["x", "y"]},
            "result": {"score": row["score"], "usage": {"in": row["input_tokens"], "usd": row["cost_usd"]}},
        }
        for row in long_table().to_dict("records")
    ]
    path = tmp_path / name
    if name.endswith(".parquet"):
        pd.DataFrame(rows).to_parquet(path)
    elif name.endswith(".csv"):
        text = repr if name == "python.csv" else json.dumps
        path.write_text(text_of(pd.DataFrame(rows).map(lambda v: text(v) if isinstance(v, dict) else v)))
    else:
        path.write_text("\n".join(map(json.dumps, rows)))
    return path


PATHS = {"model": "by.id", "score": "result.score", "input_tokens": "result.usage.in", "cost_usd": "result.usage.usd"}


@pytest.mark.parametrize("name", ["t.parquet", "t.jsonl", "t.csv", "python.csv"])
def test_a_path_leads_to_a_value_inside_objects(tmp_path: Path, name: str) -> None:
    result = read_any(nested(name, tmp_path), columns=PATHS)
    expected = read_any(
        write(long_table()[["prompt_id", "model", "score", "input_tokens", "cost_usd"]], tmp_path / "w.csv")
    )
    same(result, expected)
    assert read_any(tmp_path / name, columns=PATHS | {"task": "by.tags.1"}).prompts["task"].unique().tolist() == ["y"]


def test_a_cell_that_is_no_object_is_told_and_nothing_in_it_is_run(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    cells = [
        "{'in': 12}",
        "{'in': np.float64(2.5), 'x': nan}",
        f"open({str(tmp_path / 'made')!r}, 'w')",
        "",
        "{'x': 1}",
    ]
    rows = [f'p{number},{"mn"[number % 2]},1,1,"{cell}"' for number, cell in enumerate(cells)]
    path.write_text("\n".join(["prompt_id,model,score,cost_usd,usage", *rows]))
    frames = read_any(path, columns={"input_tokens": "usage.in"})
    assert frames.outcomes["input_tokens"].fillna(-1).tolist() == [12, 2.5, -1, -1, -1]
    assert any("open(" in note and "empty" in note for note in frames.warnings)
    assert not (tmp_path / "made").exists()
    assert any("'usage.out'" in note for note in read_any(path, columns={"output_tokens": "usage.out"}).warnings)


@pytest.mark.parametrize("name", ["t.parquet", "t.jsonl"])
def test_an_object_in_the_place_of_a_value_comes_with_its_paths(tmp_path: Path, name: str) -> None:
    problem = refused(nested(name, tmp_path), columns=PATHS | {"score": "result"})
    assert problem.column == "result"
    assert "result.usage.in" in problem.remedy
    assert "result.score" in refused(tmp_path / name, columns=PATHS | {"score": "result.nope"}).remedy


def test_an_object_that_is_not_needed_is_left_out_with_a_note(tmp_path: Path) -> None:
    rows = [row | {"task": {"name": "x"}} for row in long_table().to_dict("records")]
    path = tmp_path / "t.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    frames = read_any(path)
    assert set(frames.prompts["task"]) == {""}
    assert any("task.name" in note for note in frames.warnings)
    assert set(read_any(path, columns={"benchmark": "task.name"}).prompts["family"]) == {"x"}
    assert set(read_any(path, columns={"task": "task.name"}).prompts["task"]) == {"x"}


@pytest.mark.parametrize(
    ("name", "content"), [("t.csv", ""), ("t.csv", "\n \n"), ("t.json", "\n \n"), ("t.parquet", ""), ("t.csv.gz", "\n")]
)
def test_an_empty_file_is_called_empty(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_bytes(gzip.compress(content.encode()) if name.endswith(".gz") else content.encode())
    assert "empty" in refused(tmp_path / name).message


def test_one_column_asks_for_the_separator(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("prompt_id model score\na m 1\n")
    assert "--separator" in refused(path).remedy


@pytest.mark.parametrize(
    "above", ["# a report\n", "Results, all models\n\n\n", "Report;;;\nof March;;;\n", '"a\nb"\n', "\n\n"]
)
@pytest.mark.parametrize("separator", [",", ";"])
def test_the_header_is_looked_for_below_a_title(tmp_path: Path, above: str, separator: str) -> None:
    path = tmp_path / "t.csv"
    text = text_of(long_table(), sep=separator)
    path.write_text(above + text)
    frames = read_any(path)
    same(frames, read_any(write(long_table(), tmp_path / "w.csv")))
    line = above.count("\n") + 1
    assert any(f"line {line};" in note for note in frames.warnings) == bool(above.strip())
    assert preview(path, 1).columns.tolist() == long_table().columns.tolist()
    lines = text.split("\n")
    path.write_text(above + "\n".join([*lines[:3], f"a{separator}b", *lines[3:]]))
    problem = refused(path)
    assert problem.row == 3
    assert f"line {line + 3}" in problem.message


def test_a_header_of_own_names_stands_below_a_title_too(tmp_path: Path) -> None:
    path, own = tmp_path / "t.csv", {"prompt_id": "Frage", "model": "Modell", "score": "Punkte", "cost_usd": "Kosten"}
    path.write_text("Bericht\n" + text_of(long_table().rename(columns=own)))
    assert len(read_any(path, columns=own).outcomes) == len(long_table())


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("prompt_id,model,score,prompt\n" + r'q0,a,1,"Why: he said \"hi\", ok"' + "\nq1,a,1,x: y\n", ()),
        ("prompt_id,model,score,prompt\n" + "q0,a,1,Note: is a, b, c\n" * 3, ()),
        ("Frage,Modell,Punkte\n" + "q0,a,Note: text\n" * 3, ()),
        ("prompt_id,model,score\nq0,a,1\nprompt_id,model,score,cost_usd\n" + "q0,b,1,0.1\n" * 9, ()),
        ("qid2,llm_x,outcome,usd,\n" + "q1,b,pass,0.1,text\n" * 3, ("qid2", "llm_x", "outcome", "usd")),
        ("qid2,llm_x,outcome,price,\n" + "q1,b,pass,0.1,text\n" * 3, ()),
        ("Frage\n" + "text,why\n" * 3, ("Frage.text",)),
        ("Frage,a,a|cost_usd\n" + "q0,1,0.1\n" * 3, ()),
        ("Frage\nwhy\nWhy: text\nwho\n", ()),
        (",gpt-4\n" + "text,0.5\n" * 3, ()),
    ],
)
def test_a_first_row_that_may_be_the_header_is_no_title(text: str, columns: tuple[str, ...]) -> None:
    dialect = dialect_of(text, ".csv", None, columns)
    assert (dialect.separator, dialect.skip, dialect.has_title) == (",", 0, False)


def test_what_is_stated_of_files_goes_through_json() -> None:
    stated = Reading(columns=("a", "b"))
    assert Reading(**json.loads(json.dumps(asdict(stated)))) == stated


def test_no_row_is_lost_where_a_longer_header_stands_further_down(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    short = text_of(long_table().drop(columns="cost_usd"))
    path.write_text(short + text_of(long_table()))
    assert refused(path).row == len(long_table()) + 1


def test_an_index_without_a_name_is_left_out_and_can_be_named(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    long_table().to_csv(path)
    frames = read_any(path)
    same(frames, read_any(write(long_table(), tmp_path / "w.csv")))
    assert any("column0" in note and "no name" in note for note in frames.warnings)
    rows = long_table().drop(columns="prompt_id").set_index(long_table()["prompt_id"].rename(None))
    rows.to_csv(path)
    same(read_any(path, columns={"prompt_id": "column0"}), frames)


def test_no_message_names_a_folder_or_quotes_the_database(tmp_path: Path) -> None:
    for name, content in (("t.csv", b'a,b\n"x'), ("t.jsonl", b"{"), ("t.parquet", b"PAR1PAR1"), ("t.json", b"[{]")):
        (tmp_path / name).write_bytes(content)
        text = str(refused(tmp_path / name))
        assert str(tmp_path) not in text
        assert "Error" not in text
        assert "read_" not in text
