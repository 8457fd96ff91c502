"""Write tests/files/formats/expected.json: the made-up benchmark whose results each tool writes into its files."""

import json
from pathlib import Path

EXPECTED = Path(__file__).parents[2] / "tests/files/formats/expected.json"

QUESTIONS = [
    ("What is 17 + 25?", 42),
    ("What is 9 times 8?", 72),
    ("What is 144 divided by 12?", 12),
    ("A shop sells 3 boxes of 24 eggs and 5 eggs break. How many eggs are whole?", 67),
    ("Ana reads 15 pages a day.\nHow many pages does she read in 2 weeks?", 210),
    ("What is 13 * 13?", 169),
    ("A ticket costs 12,50 €; how many euros do 4 tickets cost?", 50),
    ("What is 1000 - 377?", 623),
    ('Zoë says "half of 90, plus 1". Which number is it?', 46),
    ("How many legs does a spider have?", 8),
    ("In which year did people first walk on the Moon?", 1969),
    ("How many days has a leap year?", 366),
    ("How many sides has a hexagon?", 6),
    ("What is the atomic number of oxygen?", 8),
    ("How many minutes are in a day?", 1440),
    ("How many players of one team are on the pitch in football?", 11),
]
# Dollars per million tokens in and out; then a letter a question: s right and in the wanted form "#### 42",
# l right but loose ("I think it is 42"), w wrong; last the questions whose second sample is the other way round.
MODELS = {
    "acme/small": (0.10, 0.40, "swslwwsswsllswww", {"q03", "q10"}),
    "acme/large": (2.00, 8.00, "ssssslsssslssssw", {"q16"}),
    "other/mid": (0.50, 1.50, "slswslwsssswslws", set()),
}


def answer(form: str, right: int, model: str) -> str:
    thoughts = {"acme/small": "", "other/mid": "Easy. ", "acme/large": "Let me go through it step by step. " * 3}[model]
    return thoughts + {"s": f"#### {right}", "l": f"I think it is {right}", "w": f"#### {right + 1}"}[form]


def cell(key: str, text: str, right: int, model: str) -> dict[str, object]:
    price_in, price_out, forms, changing = MODELS[model]
    form = forms[int(key[1:]) - 1]
    other = {"s": "w", "l": "w", "w": "s"}[form] if key in changing else form
    words, response = len(text.split()), answer(form, right, model)
    tokens = {"input_tokens": 10 + 2 * words, "output_tokens": 3 * len(response.split())}
    cost = (tokens["input_tokens"] * price_in + tokens["output_tokens"] * price_out) / 1e6
    scores = {"score": int(form != "w"), "score_strict": int(form == "s"), "score_second_sample": int(other != "w")}
    latency = round(0.2 + 0.05 * tokens["output_tokens"], 2)
    responses = {"response": response, "response_second_sample": answer(other, right, model)}
    return scores | tokens | {"cost_usd": round(cost, 10), "latency_s": latency} | responses


if __name__ == "__main__":
    keys = [f"q{number:02d}" for number in range(1, len(QUESTIONS) + 1)]
    prompts = {key: {"text": text, "target": str(right)} for key, (text, right) in zip(keys, QUESTIONS, strict=True)}
    cells = {key: {m: cell(key, q["text"], int(q["target"]), m) for m in MODELS} for key, q in prompts.items()}
    prices = {m: {"input_usd_per_million": i, "output_usd_per_million": o} for m, (i, o, _, _) in MODELS.items()}
    EXPECTED.write_text(json.dumps({"prompts": prompts, "prices": prices, "cells": cells}, indent=1) + "\n")
