// Budget and target accuracy: two more handles on the same point. Both are what the point promises of new prompts, or,
// where a curve does not know that, what it does on validation.
import { column, lastAtMost, rateOf } from "./curve.js";
import { costText, percent } from "./words.js";

// One handle: how its value on the validation curve is written, and which point it solves for.
class GoalHandle {
  constructor(box, { scale, unscale, toInput, toText, solve, onMove, onRelease, onMiss }) {
    [this.number, this.range] = [box.querySelector("[type=number]"), box.querySelector("[type=range]")];
    Object.assign(this, { scale, unscale, toInput, toText, solve, onMove, onMiss });
    this.active = null; // the input in use; it is not overwritten until it is released
    this.number.addEventListener("input", () => (this.active = this.number));
    this.number.addEventListener("blur", () => this.#submit(onRelease));
    this.number.addEventListener("change", () => this.#submit(onRelease));
    this.range.addEventListener("input", () => {
      this.active = this.range;
      this.#move(unscale(Number(this.range.value)));
    });
    for (const end of ["change", "pointerup", "pointercancel"]) {
      this.range.addEventListener(end, () => this.#end(this.range, onRelease));
    }
  }

  limits(low, high) {
    [this.range.min, this.range.max] = [this.scale(low), this.scale(high)];
    this.range.disabled = low === high;
  }

  #move(value) {
    const { lam, miss } = this.solve(value);
    this.onMove(lam);
    this.onMiss(miss, lam);
  }

  #submit(onRelease) {
    if (this.active !== this.number) return;
    if (this.number.value !== "") this.#move(Number(this.number.value));
    this.#end(this.number, onRelease);
  }

  #end(input, onRelease) {
    if (this.active !== input) return;
    this.active = null;
    onRelease();
    this.show(this.value);
  }

  show(value) {
    this.value = value;
    const text = this.toText(value);
    this.range.setAttribute("aria-valuetext", text);
    if (this.active !== this.range) this.range.value = this.scale(value);
    const [low, high] = [Number(this.range.min), Number(this.range.max)];
    const filled = high > low ? (Number(this.range.value) - low) / (high - low) : 1;
    this.range.style.setProperty("--filled", `${100 * Math.min(1, Math.max(0, filled))}%`);
    if (this.active !== this.number) this.number.value = this.toInput(value);
  }
}

export class Goals {
  constructor(root, { onMove, onRelease }) {
    this.box = root.querySelector(".goals");
    this.note = root.querySelector(".missed");
    const onMiss = (miss, lam) => {
      this.note.textContent = miss;
      this.missedAt = lam; // the note stays until λ changes
    };
    const moves = { onMove, onRelease, onMiss };
    const part = (name) => this.box.querySelector(`[data-goal=${name}]`);
    this.budget = new GoalHandle(part("budget"), {
      ...moves,
      scale: (value) => (this.log ? Math.log10(value) : value),
      unscale: (value) => (this.log ? 10 ** value : value),
      toInput: (value) => Number(value.toPrecision(4)),
      toText: (value) => `${costText(value / this.basis.calls, this.basis)} ${this.readOn}`,
      solve: (value) => this.#within(value / this.basis.calls),
    });
    this.target = new GoalHandle(part("target"), {
      ...moves,
      scale: (value) => value,
      unscale: (value) => value,
      toInput: (value) => value.toFixed(2),
      toText: (value) => `${percent(value / 100, 2)} ${this.readOn}`,
      solve: (value) => this.#reaching(value / 100),
    });
  }

  update({ validation, budgets, targets, promised, unit, basis, readOn }) {
    this.box.hidden = !validation;
    if (!validation) return;
    this.readOn = promised ? "promised" : `on ${readOn}`;
    for (const where of this.box.querySelectorAll(".read-on")) where.textContent = this.readOn;
    this.box.querySelector(".promise").hidden = !promised;
    this.unit = unit;
    this.basis = basis;
    this.box.querySelector(".per").textContent = basis.words;
    [this.rate, this.score, this.cost] = ["rate", "score", "cost"].map((name) => column(validation, name));
    [this.budgets, this.targets] = [budgets, targets].map((steps) => ({
      lams: column(steps, "lam"), values: column(steps, "value"),
    }));
    const ends = (values) => [values[0], values[values.length - 1]];
    this.log = this.budgets.values[0] > 0;
    this.budget.limits(...ends(this.budgets.values).map((cost) => this.basis.calls * cost));
    this.target.limits(...ends(this.targets.values).map((score) => 100 * score));
    this.note.textContent = "";
  }

  // The most accurate point that costs no more; if there is none, the cheapest point.
  #within(cost) {
    const { lams, values } = this.budgets;
    const miss = values[0] > cost + 1e-15;
    const lam = lams[lastAtMost(values, cost + 1e-15)];
    return { lam, miss: miss ? `No point is that cheap: the least is ${costText(values[0], this.basis)}.` : "" };
  }

  // The cheapest point with at least this score; if there is none, the most accurate point.
  #reaching(score) {
    const { lams, values } = this.targets;
    const last = values.length - 1;
    const place = values.findIndex((reached) => reached >= score - 1e-12);
    const most = percent(values[last], 2);
    return place >= 0
      ? { lam: lams[place], miss: "" }
      : { lam: lams[last], miss: `No point is that accurate: the most is ${most}.` };
  }

  // Show the budget and target of a λ.
  show(lam) {
    if (this.box.hidden) return;
    const at = lastAtMost(this.rate, rateOf(lam, this.unit));
    if (lam !== this.missedAt) this.note.textContent = "";
    this.budget.show(this.basis.calls * this.cost[at]);
    this.target.show(100 * this.score[at]);
  }
}
