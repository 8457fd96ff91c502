"""A kept point checked on its page: logs as promised, drifted and hostile, and how sure it was."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from carrot_core import CarrotRouter
from carrot_core.benchmarks.log_table import keep_log
from carrot_core.dashboard.stores import upload_key
from carrot_core.points import shared_points
from carrot_core.serving.point import PointFile
from carrot_core.store import Store
from tests import wording
from tests.benchmarks.formats.truth import FILES
from tests.pages.reading import unescaped
from tests.points.test_difference import point

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
HEAD = "mmlu-pro-cot"
SNAPSHOT = f"{HEAD} (snapshot)"
MARKUP = re.compile(r"(?<!\\)(<img|!\[x|:red)")  # not escaped
HOSTILE = "<img src=x onerror=alert(1)> ![x](//host/x.png) :red[x] $x$"
SURE = "How sure it is"


@pytest.fixture(scope="module")
def head() -> PointFile:
    return CarrotRouter.load(HEAD).point_file(lam=0.1)


def page(opened: str = "", **query: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120)
    app.query_params.update({"bench": SNAPSHOT} | query)
    if opened:
        app.session_state["check_by"] = opened
    app.switch_page("pages/points.py").run()
    assert not app.exception
    return app


def logs(point: PointFile, n: int = 2000, **changed: object) -> pd.DataFrame:
    assert point.test is not None
    assert point.shares is not None
    rng = np.random.default_rng(3)
    shares = np.array(list(point.shares.values()))
    frame = pd.DataFrame(
        {
            "engine": rng.choice(list(point.shares), n, p=shares / shares.sum()),
            "score": (rng.random(n) < point.test.score).astype(float),
            "cost_usd": point.test.cost_usd * rng.lognormal(-0.02, 0.2, n),
        }
    )
    return frame.assign(**changed)


def compare_logs(app: AppTest, content: bytes, name: str = "logs.csv") -> AppTest:
    app.file_uploader(key=upload_key("drift:file")).upload(name, content, "text/csv").run()
    assert not app.exception
    if [button for button in app.button if button.key == "drift:run" and not button.disabled]:
        app.button(key="drift:run").click().run()
        assert not app.exception
    return app


def as_csv(frame: pd.DataFrame) -> bytes:
    return frame.to_csv(index=False).encode()


def message_text(app: AppTest) -> str:
    elements = [*app.success, *app.info, *app.warning, *app.error, *app.caption, *app.markdown]
    return "\n".join(element.value for element in elements)


def page_text(app: AppTest) -> str:
    return unescaped(message_text(app))


def test_logs_as_promised_agree(head: PointFile) -> None:
    shared_points().keep(head)
    app = compare_logs(page(), as_csv(logs(head)))
    assert wording.LOGS_AGREE in page_text(app)
    assert "2,000 calls" in page_text(app)
    # Another tolerance is another question: the old answer is gone until it is asked.
    app.number_input(key="drift:points").set_value(1.0).run()
    assert "The logs agree" not in page_text(app)
    app.button(key="drift:run").click().run()
    assert wording.TOO_FEW in page_text(app)


def test_a_gateways_log_is_compared_as_it_is_and_a_kept_one_by_its_name(head: PointFile) -> None:
    shared_points().keep(head)
    log = FILES / "litellm" / "spend_logs.csv"
    app = compare_logs(page(), log.read_bytes(), "spend_logs.csv")
    assert "8 calls" in page_text(app)
    keep_log("spring", [log])
    app = page()
    app.selectbox(key="drift:kept").set_value("spring").run()
    app.button(key="drift:run").click().run()
    assert not app.exception
    assert "8 calls" in page_text(app)


def test_what_drifted_is_said_and_models_outside_the_pool_are_named(head: PointFile) -> None:
    shared_points().keep(head)
    frame = logs(head)
    frame.loc[:99, "engine"] = HOSTILE
    app = compare_logs(page(), as_csv(frame.assign(cost_usd=2 * frame["cost_usd"])))
    assert wording.LOGS_DISAGREE_ON_COST in page_text(app)
    assert wording.NOT_IN_POOL in page_text(app)
    assert not MARKUP.search(message_text(app))
    table = next(frame.value for frame in app.dataframe if "Paid ÷ price" in frame.value)
    assert table["Calls"].sum() == 2000


def test_a_file_that_is_no_log_is_refused_in_words(head: PointFile) -> None:
    shared_points().keep(head)
    app = page()
    for content, words in ((b"", "empty"), (f"model,score\n{HOSTILE},x\n".encode(), "is not a number")):
        compare_logs(app, content)
        assert words in "".join(error.value for error in app.error).replace("\\", "")
        assert not MARKUP.search(message_text(app))


def test_the_column_of_the_model_is_asked_for_where_it_cannot_be_told(head: PointFile) -> None:
    shared_points().keep(head)
    frame = logs(head).rename(columns={"engine": "who"})
    app = compare_logs(page(), as_csv(frame))
    assert wording.CHOOSE_MODEL_COLUMN in page_text(app)
    (box,) = [box for box in app.selectbox if box.label == "model"]
    box.set_value("who").run()
    app.button(key="drift:run").click().run()
    assert wording.LOGS_AGREE in page_text(app)


def test_the_check_is_folded_away_until_a_link_names_it(head: PointFile) -> None:
    shared_points().keep(head)
    for query, expected in (({}, False), ({"check_by": SURE}, True)):
        (fold,) = (box for box in page(**query).expander if box.label == "Check a point")
        assert fold.proto.expanded is expected


def test_a_point_on_which_nothing_was_measured_says_so() -> None:
    shared_points().keep(point(test=None, validation=None, shares=None))
    app = page()
    assert wording.NOTHING_TO_COMPARE in page_text(app)
    assert not app.file_uploader(key=upload_key("points:upload")).value


def test_how_sure_a_point_is_where_its_data_are_here(store_of: Callable[..., Store]) -> None:
    store_of("carrot-knn")
    router = CarrotRouter.load("made", router="carrot-knn")
    shared_points().keep(router.point_file(lam=0.3, note="mine"))
    app = page(SURE)
    assert "holds on test in" in page_text(app)
    shared_points().keep(router.point_file(lam=0.3, note="other").model_copy(update={"data_hash": "x"}).sealed())
    app.run()
    app.selectbox(key="check").set_value("other").run()
    assert not app.exception
    assert wording.OTHER_DATA in page_text(app)


def test_how_sure_a_point_is_cannot_be_told_from_a_snapshot_or_nothing(head: PointFile) -> None:
    shared_points().keep(head)
    assert wording.NOT_FROM_SNAPSHOT in page_text(page(SURE))
    shared_points().keep(point(benchmark=HOSTILE, note="far").sealed())
    app = page(SURE)
    app.selectbox(key="check").set_value("far").run()
    assert wording.NOT_SOLVED_AGAIN in page_text(app)
    assert not MARKUP.search(message_text(app))
