// Four ways to write the same point: λ, what it pays for accuracy, budget and target accuracy. The last two are the
// point's promises for new prompts or, if the curve has none, its means on validation.
import { column, lastAtMost, rateOf } from "./curve.js";
import { costText, percent } from "./words.js";

// One number that can be edited: its format, and the point that a typed value solves for.
class GoalBox {
  constructor(box, { toInput, solve, onMove, onRelease, onMiss }) {
    this.number = box.querySelector("input");
    Object.assign(this, { toInput, solve, onMove, onMiss });
    this.active = false; // true while somebody types; then nothing overwrites the field
    this.number.addEventListener("input", () => (this.active = true));
    for (const end of ["blur", "change"]) this.number.addEventListener(end, () => this.#submit(onRelease));
  }

  #submit(onRelease) {
    if (!this.active) return;
    this.active = false;
    if (this.number.value !== "") {
      const { lam, miss } = this.solve(Number(this.number.value));
      this.onMove(lam);
      this.onMiss(miss, lam);
    }
    onRelease();
    this.show(this.value);
  }

  show(value) {
    this.value = value;
    if (!this.active) this.number.value = this.toInput(value);
  }
}

const significant = (digits) => (value) => (Number.isFinite(value) ? Number(value.toPrecision(digits)) : "");

export class Goals {
  constructor(root, { onMove, onRelease }) {
    this.box = root.querySelector(".goals");
    this.note = root.querySelector(".missed");
    this.apart = root.querySelector(".apart");
    const onMiss = (miss, lam) => {
      this.note.textContent = miss;
      this.missedAt = lam; // the note stays until λ changes
    };
    const moves = { onMove, onRelease, onMiss };
    this.parts = Object.fromEntries([...this.box.querySelectorAll("[data-goal]")].map((part) => [part.dataset.goal, part]));
    const part = (name, how) => new GoalBox(this.parts[name], { ...moves, ...how });
    this.lam = part("lam", {
      toInput: (lam) => Number(lam.toPrecision(3)),
      solve: (value) => this.#ending(value, value),
    });
    this.price = part("price", {
      toInput: significant(3),
      solve: (value) => this.#ending(value, 0.01 / (0.01 + value / this.unit)),
    });
    this.budget = part("budget", {
      toInput: significant(4),
      solve: (value) => this.#within(value / this.basis.calls),
    });
    this.target = part("target", { toInput: (value) => value.toFixed(2), solve: (value) => this.#reaching(value / 100) });
  }

  update({ validation, budgets, targets, promised, unit, basis, readOn }) {
    [this.unit, this.basis, this.validation] = [unit, basis, validation];
    this.promised = promised;
    this.parts.budget.hidden = this.parts.target.hidden = !validation;
    this.box.querySelector(".promise").hidden = !promised;
    this.note.textContent = "";
    if (!validation) return;
    for (const where of this.box.querySelectorAll(".read-on")) where.textContent = promised ? "promised" : `on ${readOn}`;
    this.box.querySelector(".per").textContent = basis.words;
    [this.rate, this.score, this.cost] = ["rate", "score", "cost"].map((name) => column(validation, name));
    [this.budgets, this.targets] = [budgets, targets].map((steps) => ({
      lams: column(steps, "lam"), values: column(steps, "value"),
    }));
  }

  // λ itself, or the nearest end of its range.
  #ending(value, lam) {
    const inside = Math.min(1, Math.max(0, lam));
    return { lam: inside, miss: value >= 0 && lam <= 1 ? "" : "No point is there: λ goes from 0 to 1." };
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

  // The score and the cost, in dollars per query, that a λ promises for new prompts; null if not known.
  promise(lam) {
    if (!this.promised) return null;
    const at = lastAtMost(this.rate, rateOf(lam, this.unit));
    return { score: this.score[at], cost: this.cost[at] };
  }

  // Show the four numbers of a λ; ``apart`` says why the figures beside the chart are not those under the ring.
  show(lam, apart) {
    this.apart.textContent = apart || "";
    if (!(Math.abs(lam - this.missedAt) < 1e-9)) this.note.textContent = ""; // λ comes back with its last digit rounded
    const rate = rateOf(lam, this.unit);
    this.lam.show(lam);
    this.lam.number.title = `λ = ${lam}`; // all its digits
    this.price.show(0.01 / rate);
    if (!this.validation) return;
    const at = lastAtMost(this.rate, rate);
    this.budget.show(this.basis.calls * this.cost[at]);
    this.target.show(100 * this.score[at]);
  }
}
