// The active router's exact curve: every breakpoint, and the shares of the models at each.

export const column = (table, name) => table.getChild(name).toArray();

// Position of the last of ascending values that is not above a bound; 0 if all are above it.
export function lastAtMost(values, most) {
  let low = 0;
  let high = values.length;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (values[middle] <= most) low = middle;
    else high = middle;
  }
  return low;
}

export const rateOf = (lam, unit) => (lam >= 1 ? Infinity : lam / ((1 - lam) * unit));

// The number with the fewest decimals near the middle of a range, to stand for the range; its start if there is none.
export function shortest(low, high, stands) {
  for (let digits = 2; digits < 17; digits += 1) {
    const number = Number(((low + high) / 2).toFixed(digits));
    if (stands(number)) return number;
  }
  return low;
}

export class Curve {
  constructor({ points, switches, checkpoints, unit, prompts, models }) {
    this.rate = column(points, "rate"); // score units per dollar, ascending from 0
    this.score = column(points, "score");
    this.cost = column(points, "cost"); // dollars per query
    // Mean and 95th percentile of the chosen calls' seconds, if latency is recorded.
    [this.latency, this.p95] = ["latency", "p95"].map((name) => points.getChild(name)?.toArray() ?? null);
    this.done = switches ? column(points, "switches") : null; // switches made up to this breakpoint
    this.source = switches ? column(switches, "source") : null;
    this.target = switches ? column(switches, "target") : null;
    this.stride = checkpoints.stride;
    this.checkpoints = checkpoints.counts;
    this.unit = unit;
    this.prompts = prompts;
    this.counts = new Float64Array(models.length);
  }

  rateOf(lam) {
    return rateOf(lam, this.unit);
  }

  // Last breakpoint whose rate is not above λ's.
  index(lam) {
    return lastAtMost(this.rate, this.rateOf(lam));
  }

  // Pixels of its points without a chart: from end to end of the width.
  scale(width, height, log) {
    const on = (usd) => (log ? Math.log(usd) : usd);
    const [low, high] = [Math.min, Math.max].map((end) => on(this.cost.reduce((one, other) => end(one, other))));
    const x = (usd) => (high > low ? ((on(usd) - low) / (high - low)) * width : width / 2);
    return { x, y: (score) => (1 - score) * height, left: 0, right: width, top: 0, bottom: height };
  }

  // Share of the prompts each model answers: from the nearest checkpoint, then switch by switch.
  // Without switches (a thinned curve, a snapshot) the checkpoint itself is the answer.
  shares(index) {
    const checkpoint = Math.floor(index / this.stride);
    this.counts.set(this.checkpoints[checkpoint]);
    if (this.source) {
      for (let e = this.done[checkpoint * this.stride]; e < this.done[index]; e += 1) {
        this.counts[this.source[e]] -= 1;
        this.counts[this.target[e]] += 1;
      }
    }
    return Array.from(this.counts, (count) => count / this.prompts);
  }

  // Largest share of each model at any checkpoint.
  largestShares() {
    return this.checkpoints.reduce(
      (best, counts) => best.map((share, model) => Math.max(share, counts[model] / this.prompts)),
      Array.from(this.counts, () => 0),
    );
  }

  // The shortest λ that stands for a breakpoint.
  lamOf(index) {
    if (index === 0) return 0;
    if (index === this.rate.length - 1) return 1;
    const [low, high] = [index, index + 1].map((k) => {
      const scaled = this.rate[k] * this.unit;
      return scaled === Infinity ? 1 : scaled / (1 + scaled);
    });
    return shortest(low, high, (lam) => this.index(lam) === index);
  }
}
