"""The routers of other packages beside ours: the same typed prompts, one at a time, each router in its own process.

``python -m scripts.bench.others NAME`` is such a process; `run` starts one for each of `ROUTERS`.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

from carrot_core.embedding import bundled_folder
from carrot_core.errors import CarrotError
from scripts.bench.live import of_all_lengths
from scripts.simulated import simulate

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv/others/bin/python"
OURS = "CARROT-MLP"
_OPENAI_DIMENSIONS, _LONGFORMER_TOKENS = 1536, 4096
_N_NEIGHBOURS_OF = 1_000
Route = Callable[[str], object]


def run(n_prompts: int = 48, python: Path = PYTHON) -> dict[str, Any]:
    """Time every router of `ROUTERS` on the same prompts of the simulated benchmark, from the shortest to the longest.

    The networks of the other packages have the published shape and random weights, which cost the same time; no
    decision of theirs is looked at.

    Parameters
    ----------
    n_prompts : prompts, one call each, after one that is not counted.
    python : of an environment that has the other packages (``make .venv/others/.installed``).

    Returns
    -------
    dict
        ``n_prompts`` and, each by router, ``ms`` (median of a prompt), ``times_carrot`` (its median ÷ CARROT's),
        ``per_s`` (prompts), ``cpu_ms`` (processor time a prompt, of all threads) and ``peak_mib`` (most memory of the
        process, Python and libraries included).
    """
    if not python.exists():
        raise CarrotError(f"{python.name} of the environment with the other packages is missing: run `make bench`.")
    texts = of_all_lengths([str(text) for text in simulate(0).prompts["text"]], n_prompts)
    measured = {name: _measure_apart(name, texts, python) for name in ROUTERS}
    by_figure = {figure: {name: of_router[figure] for name, of_router in measured.items()} for figure in measured[OURS]}
    times = {name: ms / by_figure["ms"][OURS] for name, ms in by_figure["ms"].items()}
    return {"n_prompts": n_prompts, "times_carrot": times, **by_figure}


def _measure_apart(name: str, texts: list[str], python: Path) -> dict[str, float]:
    """`measure` in a process of its own, which needs no network."""
    offline = {"HF_HUB_OFFLINE": "1", "LITELLM_LOCAL_MODEL_COST_MAP": "True", "OPENAI_API_KEY": "none"}
    process = subprocess.run(
        [str(python), "-m", "scripts.bench.others", name],
        input=json.dumps(texts), capture_output=True, text=True, cwd=ROOT, env=os.environ | offline, check=False,
    )  # fmt: skip
    if process.returncode:
        raise CarrotError(f"{name} could not be measured: {process.stderr.strip().splitlines()[-1]}")
    figures: dict[str, float] = json.loads(process.stdout)
    return figures


def measure(name: str, texts: list[str]) -> dict[str, float]:
    """Seconds and memory of the router of that name in this process."""
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(sys.stderr):  # the packages print
        route = ROUTERS[name](Path(folder))
        route(texts[0])
        started, seconds = time.process_time(), []
        for text in texts:
            began = time.perf_counter()
            route(text)
            seconds.append(time.perf_counter() - began)
        cpu = time.process_time() - started
    return {
        "ms": 1e3 * float(np.median(seconds)),
        "per_s": len(texts) / sum(seconds),
        "cpu_ms": 1e3 * cpu / len(texts),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _carrot(_folder: Path) -> Route:
    from carrot_core.serving import CarrotRouter

    router = CarrotRouter.load("mmlu-pro-cot")
    return lambda text: router.route(text, lam=0.3)


def _routellm_bert(folder: Path) -> Route:
    """Its classifier of three labels, in the shape of BERT-base."""
    from routellm.routers.routers import BERTRouter
    from transformers import BertConfig, BertForSequenceClassification

    BertForSequenceClassification(BertConfig(num_labels=3)).save_pretrained(folder)
    _save_tokenizer(folder, 512)
    return BERTRouter(str(folder)).calculate_strong_win_rate  # type: ignore[no-any-return]


def _routellm_mf(folder: Path) -> Route:
    """Its matrix factorisation; OpenAI's embeddings come at once, from a stand-in on this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Embeddings)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.environ["OPENAI_BASE_URL"] = f"http://127.0.0.1:{server.server_port}/v1"
    from routellm.routers.matrix_factorization.model import MFModel
    from routellm.routers.routers import MatrixFactorizationRouter

    MFModel(dim=128, num_models=64, text_dim=_OPENAI_DIMENSIONS, num_classes=1, use_proj=True).save_pretrained(folder)
    return MatrixFactorizationRouter(str(folder)).calculate_strong_win_rate  # type: ignore[no-any-return]


class _Embeddings(BaseHTTPRequestHandler):
    _ANSWER = json.dumps(
        {
            "object": "list", "model": "made-up", "usage": {"prompt_tokens": 1, "total_tokens": 1},
            "data": [{"object": "embedding", "index": 0, "embedding": [0.01] * _OPENAI_DIMENSIONS}],
        }
    ).encode()  # fmt: skip

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(self._ANSWER)))
        self.end_headers()
        self.wfile.write(self._ANSWER)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def _llmrouter_knn(folder: Path) -> Route:
    """Its nearest neighbours on vectors of Longformer-base, fitted on made-up ones."""
    import torch
    from llmrouter.models.knnrouter import KNNRouter, KNNRouterTrainer
    from llmrouter.utils import embeddings
    from transformers import LongformerConfig, LongformerModel

    config = LongformerConfig(max_position_embeddings=_LONGFORMER_TOKENS + 2, attention_window=512)
    LongformerModel(config).save_pretrained(folder)
    _save_tokenizer(folder, _LONGFORMER_TOKENS)
    embeddings._MODEL_NAME = str(folder)
    torch.save(torch.randn(_N_NEIGHBOURS_OF, config.hidden_size), folder / "vectors.pt")
    rows = [
        {"query": f"q{row}", "embedding_id": row, "model_name": f"m{row % 9}", "performance": 1.0}
        for row in range(_N_NEIGHBOURS_OF)
    ]
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    paths = {"query_embedding_data": str(folder / "vectors.pt"), "routing_data_train": str(folder / "rows.jsonl")}
    model = str(folder / "knn.pkl")
    settings = {
        "data_path": paths,
        "hparam": {"n_neighbors": 5, "metric": "cosine"},
        "model_path": {"ini_model_path": "", "save_model_path": model, "load_model_path": model},
    }
    (folder / "settings.yaml").write_text(json.dumps(settings))  # JSON is YAML
    router = KNNRouter(str(folder / "settings.yaml"))
    KNNRouterTrainer(router).train()
    return lambda text: router.route_single({"query": text})


def _save_tokenizer(folder: Path, most_tokens: int) -> None:
    """The bundled word pieces, which are BERT's."""
    from transformers import PreTrainedTokenizerFast

    PreTrainedTokenizerFast(
        tokenizer_file=str(bundled_folder() / "tokenizer.json"), model_max_length=most_tokens,
        pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
    ).save_pretrained(folder)  # fmt: skip


ROUTERS: Mapping[str, Callable[[Path], Route]] = {
    "CARROT-MLP": _carrot,
    "RouteLLM BERT": _routellm_bert,
    "RouteLLM MF": _routellm_mf,
    "LLMRouter KNN": _llmrouter_knn,
}


def report(result: dict[str, Any]) -> str:
    """One sentence for people."""
    parts = [
        f"{name} {result['ms'][name]:.1f} ms a prompt ({result['times_carrot'][name]:.1f} times CARROT's), "
        f"{result['cpu_ms'][name]:.1f} ms of processor, {result['peak_mib'][name]:,.0f} MiB"
        for name in ROUTERS
    ]
    return "; ".join(parts)


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], json.load(sys.stdin))))
