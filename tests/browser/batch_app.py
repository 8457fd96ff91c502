"""The panel for many prompts over a router fitted on the made-up benchmark, with vectors made from the text."""

import os
import time
import zlib

import numpy as np
import streamlit as st

from carrot_core import serving
from carrot_core.dashboard.live.batch import batch_panel
from carrot_core.embedding import Vectors
from carrot_core.evaluation import setting
from carrot_core.serving import CarrotRouter
from carrot_core.serving.profile import profile_of
from tests.made import made

SECONDS = float(os.environ.get("SECONDS_A_PROMPT", "0"))


def text_vectors(texts: list[str], encoder: str = "") -> Vectors:
    time.sleep(SECONDS * len(texts))
    drawn = [np.random.default_rng(zlib.crc32(text.encode("utf-8", "replace"))).normal(size=384) for text in texts]
    return np.array([vector / np.linalg.norm(vector) for vector in drawn], dtype=np.float32).reshape(-1, 384)


@st.cache_resource
def made_router() -> CarrotRouter:
    made_setting = setting(made())
    fitted, estimates = made_setting.fit("carrot-knn")
    return CarrotRouter("made", fitted, profile_of(made_setting, fitted, estimates), "made artefact")


serving.embed = text_vectors
st.title("Many prompts")
batch_panel(made_router(), lam=st.slider("λ", 0.0, 1.0, 0.3), pool=None, fallback=None, fallback_above=99.0, task=None)
