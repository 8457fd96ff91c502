"""Benchmarks that ship whole: each a folder of small files, which `carrot results` makes.

data/benchmarks/NAME/
    card.json              where it is from, its licence, what to beware of, and the hash of its content
    models.csv             facts of its models, kept by hand (`read_model_facts`)
    prices.csv             list prices with date and source, kept by hand (`read_prices`)
    prompts.parquet        prompt_id, text (where it may be passed on), text_sha256, task, family
    outcomes.parquet       a row a run, the columns of `carrot_core.benchmarks.Frames.outcomes`
    vectors.safetensors    a vector a distinct text, rounded to 8 bits

A prompt without text is known by the hash of its text: vectors and duplicates go by that.

data/simulated/ has prompts, models and outcomes of the simulated benchmark as tables, and its vectors.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from pandas.api.types import is_numeric_dtype

from carrot_core.benchmarks import Frames, Provenance
from carrot_core.benchmarks.costs import price_table
from carrot_core.benchmarks.model_facts_arms import read_model_facts, with_facts
from carrot_core.errors import CarrotError
from carrot_core.number_formats import CALL
from carrot_core.paths import damage, read_document, shipped
from carrot_core.prices.files import PriceList, read_prices
from carrot_core.text import text_hash

BUILT_IN = ("openhands-index", "misguided-attention")  # the first is what the app opens on
FOLDER = "benchmarks"
SIMULATED = "simulated"  # its name in the store, and the folder that ships
SIMULATED_NOTE = "simulated: no such models exist and nothing was measured (seed {seed})"
ENCODER = "all-MiniLM-L6-v2"
CARD = "card.json"
_MODELS, _PRICES, _SIMULATED_MODELS = "models.csv", "prices.csv", "models.parquet"
_PROMPTS, _OUTCOMES, _VECTORS = "prompts.parquet", "outcomes.parquet", "vectors.safetensors"
_LARGEST = 127  # of an int8

Vectors = npt.NDArray[np.float32]
Embed = Callable[[list[str]], Vectors]


@dataclass(frozen=True)
class Card:
    """What is to be known of a benchmark that ships.

    Attributes
    ----------
    name : in the store and on every page.
    about : what it is, in a sentence.
    source : address and commit of the data.
    licence : as the source states it, with the place.
    date : of the commit, ISO 8601.
    caveats : what its figures do not show, in sentences.
    file, sha256 : the file it was made from.
    data_hash : sha256 of its content in the store.
    unit : what one outcome is, "call" or "task" (an agent's whole run): costs are written per unit.
    """

    name: str
    about: str
    source: str
    licence: str
    date: str
    caveats: tuple[str, ...]
    file: str = ""
    sha256: str = ""
    data_hash: str = ""
    unit: str = CALL


def folder_of(name: str) -> Path:
    """The folder of a benchmark that ships."""
    return shipped(FOLDER) / name


def card_of(folder: Path) -> Card:
    """The card in a benchmark's folder.

    Raises
    ------
    DataError
        It is missing or damaged.
    """
    document = read_document(folder / CARD)
    return Card(**{**document, "caveats": tuple(document["caveats"])})


def read_table(path: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """A Parquet table that ships, or some of its columns.

    Raises
    ------
    DataError
        It is missing or damaged.
    """
    try:
        with path.open("rb") as file:  # opened here, since a folder of that name would be read as an empty table
            return pd.read_parquet(file, columns=None if columns is None else list(columns))
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise damage(path, error) from error


def prices_of(folder: Path) -> PriceList:
    """The prices in a benchmark's folder."""
    return read_prices(folder / _PRICES)


class Tables(Mapping[str, pd.DataFrame]):
    """Parquet tables by name, each read when it is first asked for, so that a damaged one takes no other along."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._files, self._frames = files, dict[str, pd.DataFrame]()

    def __getitem__(self, name: str) -> pd.DataFrame:
        if name not in self._frames:
            self._frames[name] = read_table(self._files[name])
        return self._frames[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def read_built_in(folder: Path) -> Frames:
    """The benchmark in a folder, as a reader would give it."""
    card, prices = card_of(folder), prices_of(folder)
    prompts, outcomes = (_read_objects(folder / name) for name in (_PROMPTS, _OUTCOMES))
    frames = Frames(
        prompts.assign(split=None),
        price_table({model: prices.get(model) for model in sorted(set(outcomes["model"]))}),
        outcomes,
        Provenance(f"{card.source} of {card.date}", card.sha256, card.licence, len(outcomes), card.about),
        card.caveats,
    )
    return with_facts(frames, read_model_facts(folder / _MODELS))


def _read_objects(path: Path) -> pd.DataFrame:
    """A table that ships, its texts as objects, None where there is none."""
    frame = read_table(path)
    for column in frame.columns[[not is_numeric_dtype(kind) for kind in frame.dtypes]]:
        frame[column] = frame[column].astype(object).where(frame[column].notna(), None)
    return frame


def read_simulated() -> Frames:
    """The simulated benchmark, as a reader would give it."""
    names = (_PROMPTS, _SIMULATED_MODELS, _OUTCOMES)
    prompts, models, outcomes = (_read_objects(shipped(SIMULATED) / name) for name in names)
    note = SIMULATED_NOTE.format(seed=0)
    return Frames(
        prompts.assign(split=None), models, outcomes, Provenance(SIMULATED, "", "Apache-2.0", len(outcomes), note)
    )


def write_simulated(frames: Frames, embed: Embed, folder: Path) -> None:
    """Write the simulated benchmark and its vectors; ``embed`` is from k texts to (k, d) unit vectors by `ENCODER`."""
    folder.mkdir(parents=True, exist_ok=True)
    tables = {_PROMPTS: frames.prompts.drop(columns="split"), _SIMULATED_MODELS: frames.models}
    for name, table in {**tables, _OUTCOMES: frames.outcomes}.items():
        table.to_parquet(folder / name, index=False, compression="zstd", compression_level=19)
    texts = _distinct(frames.prompts["text"])
    write_vectors(folder / _VECTORS, texts, embed(texts))


def vectors_of_simulated() -> tuple[list[str], Vectors]:
    """The k hashes of the distinct texts of the simulated benchmark, and their (k, d) vectors by `ENCODER`.

    Raises
    ------
    CarrotError
        A file is damaged, or the vectors are of other texts.
    """
    folder = shipped(SIMULATED)
    texts = _distinct(read_table(folder / _PROMPTS, ["text"])["text"])
    return list(map(text_hash, texts)), _vectors_in(folder, texts)


def vectors_of_built_in(folder: Path) -> tuple[list[str], Vectors]:
    """The k hashes of the distinct texts of the benchmark in a folder, and their (k, d) vectors by `ENCODER`.

    Raises
    ------
    CarrotError
        A file is damaged, or the vectors are of other texts.
    """
    hashes = _distinct(read_table(folder / _PROMPTS, ["text_sha256"])["text_sha256"])
    return hashes, _vectors_in(folder, hashes)


def _vectors_in(folder: Path, keys: Sequence[str]) -> Vectors:
    vectors = read_vectors(folder / _VECTORS, keys)
    if vectors is None:
        raise CarrotError(f"{folder.name}/{_VECTORS} is of other texts; restore it from the project's data/.")
    return vectors


def write_built_in(frames: Frames, card: Card, embed: Embed, folder: Path, *, texts: bool) -> None:
    """Write a benchmark that has texts into a folder that has the tables of its models.

    Parameters
    ----------
    frames : as a reader gives them; provenance, warnings, models and the source's own split are left out.
    card : all of it but the hash of the content, which `write_card` adds.
    embed : from k texts to (k, d) unit vectors by `ENCODER`.
    texts : whether the texts of the prompts may be passed on; else their hashes are written.
    """
    prompts = frames.prompts.assign(text_sha256=frames.prompts["text"].map(text_hash))
    distinct = _distinct(prompts["text"])
    write_vectors(folder / _VECTORS, _distinct(prompts["text_sha256"]), embed(distinct))
    columns = prompts[["prompt_id", "text", "text_sha256", "task", "family"]].astype("string")
    columns = columns if texts else columns.assign(text=pd.array([None] * len(columns), "string"))
    columns.to_parquet(folder / _PROMPTS, index=False, compression="zstd")
    frames.outcomes.to_parquet(folder / _OUTCOMES, index=False, compression="zstd")
    write_card(card, folder)


def write_card(card: Card, folder: Path) -> None:
    """Write the card of a benchmark into its folder."""
    text = json.dumps(asdict(card), ensure_ascii=False, indent=1)
    (folder / CARD).write_text(text + "\n", encoding="utf-8")


def read_vectors(path: Path, keys: Sequence[str]) -> Vectors | None:
    """Vectors that `write_vectors` wrote for exactly these keys; None where the file is of others.

    Returns
    -------
    (k, d) float32 of unit length. No number is off by more than 0.0015, every cosine with the exact vector is above
    0.9999, and 99.6 % of the ten nearest neighbours stay the same.

    Raises
    ------
    DataError
        The file is missing or damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as content:
            if content.metadata() != _metadata(keys):
                return None
            values, scale = content.get_tensor("values"), content.get_tensor("scale")
    except (OSError, SafetensorError) as error:
        raise damage(path, error) from error
    scaled = values * scale[:, None]
    vectors: Vectors = scaled / np.linalg.norm(scaled, axis=1, keepdims=True)
    return vectors


def write_vectors(path: Path, keys: Sequence[str], vectors: Vectors) -> None:
    """Write (k, d) unit vectors by `ENCODER`, rounded to 8 bits with one scale a vector, and a hash of their k keys."""
    from safetensors.numpy import save_file

    scale = (np.abs(vectors).max(axis=1) / _LARGEST).astype(np.float32)
    save_file({"values": np.round(vectors / scale[:, None]).astype(np.int8), "scale": scale}, path, _metadata(keys))


def _metadata(keys: Sequence[str]) -> dict[str, str]:
    digest = hashlib.sha256(json.dumps(list(keys)).encode()).hexdigest()
    return {"encoder": ENCODER, "texts": str(len(keys)), "texts_sha256": digest}


def _distinct(values: pd.Series[str]) -> list[str]:
    """Every value once, in the order of first appearance."""
    return list(dict.fromkeys(values.dropna()))
