// Numbers as people read them. Python writes the same texts (carrot_core/number_formats.py) outside the browser;
// tests/number_cases.json makes sure that both agree.

const formats = new Map(); // by their decimals; creating one is slow

function fixed(value, decimals) {
  if (!formats.has(decimals)) {
    formats.set(decimals, new Intl.NumberFormat("en-US", { minimumFractionDigits: decimals, maximumFractionDigits: decimals }));
  }
  return formats.get(decimals).format(value);
}

// Keeps a number and its unit on one line; the page does the same to its Markdown.
export const unbroken = (text) => text.replace(/(\d) (?=%|(?:m?s|[kMG]B|points?)\b)/g, "$1\u00a0");

// Dollars to three significant digits, never in scientific notation.
export function money(usd) {
  if (usd === null || Number.isNaN(usd)) return "not known";
  const sign = usd < 0 ? "-" : "";
  const size = Math.abs(usd);
  if (size === 0 || size === Infinity) return `${sign}$${size ? "∞" : 0}`;
  if (size < 1e-12) return `${sign}under $0.000000000001`;
  const [rounded, power] = [Number(size.toPrecision(3)), Number(size.toExponential(2).split("e")[1])];
  return `${sign}$${fixed(rounded, Math.max(0, 2 - power))}`;
}

// Seconds to three significant digits.
export const seconds = (duration) => (duration === null || Number.isNaN(duration) ? "not known" : `${money(duration).slice(1)} s`);

// Dollars at a tick of an axis, without trailing zeros.
export const moneyTick = (usd) => money(usd).replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "");

// `toFixed` rounds halves away from 0, as does `fixed` in Python; 0 has no sign.
export function percent(share, digits = 1) {
  if (share === null || Number.isNaN(share)) return "not known";
  return `${fixed(Number((100 * share).toFixed(digits)) + 0, digits)} %`;
}

const points = (difference) => {
  const size = Math.abs(100 * difference);
  return `${size.toFixed(size < 0.1 ? 2 : 1)} points`;
};

// λ with the digits it needs: more near 0 and 1, where small changes matter.
export function lamText(lam) {
  const decimals = lam < 0.01 || lam > 0.99 ? 6 : 4;
  const text = String(Number(lam.toFixed(decimals)));
  if (text === "0" && lam > 0) return "under 0.000001";
  return text === "1" && lam < 1 ? "over 0.999999" : text.includes("e") ? lam.toFixed(decimals) : text;
}

// What one more accuracy point may cost a query at this rate, score per US dollar; null is infinite: λ = 1.
function price(rate) {
  if (rate === null || rate === Infinity) return { amount: "nothing", limit: false };
  return rate === 0 ? { amount: "any price", limit: false } : { amount: money(0.01 / rate), limit: true };
}

export function pays(rate) {
  const { amount, limit } = price(rate);
  return `${limit ? `up to ${amount} a query` : amount} for one more accuracy point`;
}

// A point beside a model: cost and accuracy, without a verdict, which needs intervals and comes from Python.
export function against(point, model) {
  const gain = point.score - model.score;
  const detail = Math.abs(gain) < 5e-5 ? "at equal accuracy" : `${points(gain)} ${gain > 0 ? "above" : "below it"}`;
  if (!(model.cost > 0)) return { headline: "nothing to save", detail: `it is free; ${detail}`, none: true };
  const ratio = 1 - point.cost / model.cost;
  const saved = Math.abs(ratio) < 5e-3 ? 0 : ratio; // a difference that rounds to 0 % is none
  const costs = saved > -1 ? `costs ${percent(-saved, 0)} more` : `costs ${Number((1 - saved).toPrecision(3))}× as much`;
  return { headline: saved === 0 ? "costs the same" : saved > 0 ? `costs ${percent(saved, 0)} less` : costs, detail, none: false };
}

// Cost of a solved task; infinite if nothing is solved.
export const perSolved = (cost, score) => (score > 0 ? cost / score : Infinity);

// Mean cost on the basis that Python chose: a number of calls, in words.
export const costText = (usd, { calls, words }) => `${money(calls * usd)} ${words}`;

// A point in words for screen readers, with its saving and the model it is compared with.
export function reading(lam, point, basis, model) {
  const { headline, detail } = against(point, model);
  return `λ ${lamText(lam)}: ${costText(point.cost, basis)}, accuracy ${percent(point.score)}; against ${model.short} ${headline}, ${detail}`;
}

// Why the figures of the point at rest differ from those under the ring; empty if their texts are equal.
export function underRing(measured, ring, basis) {
  const [figures, under] = [measured, ring].map((at) => `${percent(at.score)} and ${costText(at.cost, basis)}`);
  if (figures === under) return "";
  return `Accuracy and cost count each prompt at the λ that its round chose without it; the ring stands at ${under}, this λ for every prompt.`;
}
