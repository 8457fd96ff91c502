"""Text to vectors: the encoder's laws, and embedding a benchmark in chunks."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

from carrot_core import embedding
from carrot_core.benchmarks import Frames, Provenance
from carrot_core.embedding import BUNDLED, MAX_CHARACTERS, Vectors, embed, embed_benchmark, is_here, token_places
from carrot_core.errors import CarrotError
from carrot_core.store import Store
from tests.encoders import tiny_encoder

pytestmark = pytest.mark.slow

TEXTS = [
    "What is 17 + 25?",
    "",
    "Translate into French: the river is frozen. " * 12,
    "def f(x):\n    return x + 1",
    "Why is the sky blue?",
    "long " * 300,
    "什么是量子隧穿？",
    "Summarise the minutes of the meeting in one sentence.",
    "What is 17 + 25?",
]


@pytest.fixture(scope="module")
def together() -> Vectors:
    """All texts in one batch."""
    return embed(TEXTS)


def test_a_text_alone_is_the_text_in_any_batch(together: Vectors) -> None:
    np.testing.assert_allclose(np.vstack([embed([text]) for text in TEXTS]), together, atol=1e-5)
    np.testing.assert_allclose(embed(TEXTS[::-1], batch_size=3)[::-1], together, atol=1e-5)


def test_blocks_and_small_batches_keep_the_order(together: Vectors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "_BLOCK_TEXTS", 2)
    monkeypatch.setattr(embedding, "_BATCH_TOKENS", 10)
    np.testing.assert_allclose(embed(TEXTS), together, atol=1e-5)


def test_batches_bound_texts_and_padded_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "_BATCH_TOKENS", 100)
    lengths = np.random.default_rng(0).integers(1, 120, 200)
    batches = list(embedding.batches(list(lengths), 7))
    assert sorted(np.concatenate(batches)) == list(range(200))
    assert all(len(batch) <= 7 for batch in batches)
    assert all(len(batch) == 1 or len(batch) * lengths[batch].max() <= 100 for batch in batches)


def test_vectors_are_float32_of_unit_length(together: Vectors) -> None:
    assert together.dtype == np.float32
    assert together.shape == (len(TEXTS), 384)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1.0, atol=1e-5)
    assert embed([]).shape == (0, 384)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n\t",
        "\x00\x01\x02\x7f",
        "\ud800",
        "a\udfffb",
        "x" * 100_000,
        "many words " * 10_000,
        " " * 100_000 + "end",
    ],
    ids=["empty", "white", "control", "high-surrogate", "low-surrogate", "one-word", "long", "late"],
)
def test_no_text_is_too_odd(text: str) -> None:
    (vector,) = embed([text])
    assert np.isfinite(vector).all()
    assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-5)


def test_a_split_surrogate_pair_is_the_character_it_stands_for() -> None:
    np.testing.assert_array_equal(embed(["so \ud83d\ude00 glad"]), embed(["so \U0001f600 glad"]))


def test_only_the_first_256_tokens_count() -> None:
    words = " ".join(["frontier", "of", "cost", "and", "accuracy"] * 60)
    np.testing.assert_allclose(embed([words + " and then much more of it" * 100]), embed([words]), atol=1e-5)


def test_the_character_cut_leaves_the_token_window_alone() -> None:
    words = "counterrevolutionaries " * (2 * MAX_CHARACTERS // 23)  # long words, far past the cut
    assert len(words) > MAX_CHARACTERS
    np.testing.assert_allclose(embed([words]), embed([words[: MAX_CHARACTERS // 2]]), atol=1e-5)


def test_nearness_follows_meaning() -> None:
    a, b, c = embed(["How do I bake bread?", "A recipe for a loaf of bread", "Prove that the group is abelian"])
    assert a @ b > 0.5 > a @ c


def test_matches_vectors_made_elsewhere(shared_data: Path) -> None:
    with duckdb.connect() as connection:
        sample = connection.execute(
            "select prompt, embedding from (select prompt_id, any_value(prompt) as prompt from read_parquet(?) "
            "group by prompt_id order by hash(prompt_id) limit 20) join read_parquet(?) using (prompt_id)",
            [
                str(shared_data / name)
                for name in ("mmlu-pro-cot/mmlu_pro_cot.parquet", "embeddings/mmlu_pro_cot.parquet")
            ],
        ).df()
    assert len(sample) == 20
    expected = np.stack(list(sample["embedding"]))
    cosine = (embed(list(sample["prompt"])) * expected).sum(axis=1) / np.linalg.norm(expected, axis=1)
    assert cosine.min() > 0.999


def test_progress_counts_up_to_the_number_of_texts() -> None:
    steps: list[tuple[int, int]] = []
    embed(TEXTS, batch_size=2, progress=lambda done, total: steps.append((done, total)))
    assert [done for done, _ in steps] == sorted({done for done, _ in steps})
    assert {total for _, total in steps} == {len(TEXTS)}
    assert steps[-1][0] == len(TEXTS)


def test_threads_share_one_encoder_and_agree(together: Vectors) -> None:
    embedding._load.cache_clear()
    with ThreadPoolExecutor(4) as pool:
        parallel = list(pool.map(lambda text: embed([text]), TEXTS))
    assert embedding._load.cache_info().misses == 1
    np.testing.assert_allclose(np.vstack(parallel), together, atol=1e-5)


def test_a_local_folder_is_an_encoder(together: Vectors) -> None:
    """transformers opens the same folder: the reference of what the bundled encoder does without it."""
    folder = str(embedding.bundled_folder())
    np.testing.assert_allclose(embed(TEXTS, folder), together, atol=2e-6)
    for text in [*TEXTS, "Ünïcode Ça \u0301 ﬁ\x00\t", "\U0001f600 [MASK] [SEP] <s>", "many words " * 3000]:
        assert token_places(text, folder) == token_places(text)
        np.testing.assert_allclose(embed([text], folder), embed([text]), atol=2e-6)


def test_a_folder_without_a_model_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(CarrotError, match=f"{tmp_path.name}.*could not be loaded"):
        embed(["x"], str(tmp_path))


def test_code_that_lies_beside_an_encoder_never_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(tiny_encoder(tmp_path / "encoder"))
    own = f"from pathlib import Path\nPath({str(tmp_path / 'ran')!r}).touch()\nclass Config: ...\nclass Model: ...\n"
    (folder / "own.py").write_text(own)
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.Config", "AutoModel": "own.Model"}}
    (folder / "config.json").write_text(json.dumps(config))
    monkeypatch.setattr("builtins.input", lambda *_: "y")  # transformers would ask
    with pytest.raises(CarrotError, match="could not be loaded"):
        embed(["x"], str(folder))
    assert not (tmp_path / "ran").exists()


def test_pickled_weights_are_not_read(tmp_path: Path) -> None:
    folder = Path(tiny_encoder(tmp_path / "encoder"))
    assert embed(["x"], str(folder)).shape == (1, 32)
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"")
    embedding._load.cache_clear()
    with pytest.raises(CarrotError, match=r"could not be loaded.*safetensors"):
        embed(["x"], str(folder))


def test_an_encoder_is_here_where_nothing_would_be_fetched(tmp_path: Path) -> None:
    assert is_here(BUNDLED)
    assert is_here(str(tmp_path))
    for name in ("no-such-org/no-such-encoder", "..", "", "a/b/c", "x" * 5000, "a\0b"):
        assert not is_here(name) or Path(name).is_dir()


def test_an_unreachable_hub_name_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(CarrotError, match=r"no-such-org/no-such-encoder.*could not be loaded"):
        embed(["x"], "no-such-org/no-such-encoder")


def test_importing_is_light_and_loading_is_silent() -> None:
    code = (
        "import sys, carrot_core.cli\n"
        "assert not {'pandas', 'numba', 'duckdb'} & set(sys.modules), 'a slow command'\n"
        "assert carrot_core.frontier.Frontier is carrot_core.Frontier\n"
        "import carrot_core.embedding as e\n"
        "assert not {'torch', 'transformers'} & set(sys.modules), 'heavy import'\n"
        "e.embed(['a text'])\n"
        "assert not {'transformers', 'sentence_transformers', 'torch._dynamo'} & set(sys.modules), 'slow start'"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def _store(folder: Path, texts: list[str | None]) -> Store:
    ids = [f"p{number:03d}" for number in range(len(texts))]
    prompts = pd.DataFrame({"prompt_id": ids, "text": texts, "task": "", "family": "", "split": None})
    models = pd.DataFrame(
        {"model": ["a", "b"], "input_usd_per_mtok": 1.0, "output_usd_per_mtok": 2.0, "as_of": "", "source": ""}
    )
    outcomes = pd.DataFrame([(prompt, model, 1.0, 10.0, 10.0, 3e-5) for prompt in ids for model in ("a", "b")])
    outcomes.columns = pd.Index(["prompt_id", "model", "score", "input_tokens", "output_tokens", "cost_usd"])
    store = Store(folder / "carrot.duckdb")
    store.save_benchmark("b", Frames(prompts, models, outcomes, Provenance("made up")))
    return store


def test_a_benchmark_is_embedded_once_and_only_where_it_has_text(tmp_path: Path) -> None:
    texts = ["one", None, "two", "one", "three"]
    store = _store(tmp_path, texts)
    steps: list[tuple[int, int]] = []
    embed_benchmark(store, "b", progress=lambda done, total: steps.append((done, total)))
    assert steps[-1] == (3, 3)
    vectors = store.load("b", encoder=BUNDLED).vectors
    assert vectors is not None
    for row, text in enumerate(texts):
        expected = np.full(384, np.nan) if text is None else embed([text])[0]
        np.testing.assert_allclose(vectors[row], expected, atol=1e-5)
    embed_benchmark(store, "b", progress=lambda *_: pytest.fail("embedded again"))


def test_an_interrupt_loses_one_chunk_at_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "_CHUNK_TEXTS", 8)
    store = _store(tmp_path, [f"prompt number {number}" for number in range(40)])
    reached = 0

    def interrupt(done: int, total: int) -> None:
        nonlocal reached
        reached = done
        if done >= 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embed_benchmark(store, "b", progress=interrupt)
    left = store.missing_texts("b", BUNDLED)
    assert reached - 8 <= 40 - len(left) < reached

    totals: set[int] = set()
    embed_benchmark(store, "b", progress=lambda _, total: totals.add(total))
    assert totals == {len(left)}  # went on from there
    assert store.missing_texts("b", BUNDLED) == []


def test_slow_texts_are_saved_more_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 10_000, 5))
    monkeypatch.setattr(embedding.time, "monotonic", lambda: float(next(clock)))  # every chunk takes 5 seconds
    monkeypatch.setattr(embedding, "_CHUNK_TEXTS", 16)
    monkeypatch.setattr(embedding, "_CHUNK_SECONDS", 2.5)
    store = _store(tmp_path, [f"prompt number {number}" for number in range(9)])
    sizes: list[int] = []
    add = store.add_vectors
    monkeypatch.setattr(
        store,
        "add_vectors",
        lambda encoder, texts, new, **more: (sizes.append(len(texts)), add(encoder, texts, new, **more)),
    )
    embed_benchmark(store, "b")
    assert sizes == [4, 2, 1, 1, 1]


def test_vectors_of_a_gpu_are_those_of_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    if not torch.cuda.is_available():
        pytest.skip("PyTorch has no GPU on this machine")
    texts = ["What is the capital of France?", "", "Why? " * 300]
    by_device = []
    for device in ("cuda", "cpu"):
        monkeypatch.setattr(embedding, "_device", lambda device=device: device)
        embedding._load.cache_clear()
        by_device.append(embed(texts))
    embedding._load.cache_clear()
    np.testing.assert_allclose(*by_device, atol=1e-5)
