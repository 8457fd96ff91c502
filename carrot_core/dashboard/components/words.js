// Numbers as people read them.

const formats = new Map(); // by their decimals: making one takes long

function fixed(value, decimals) {
  if (!formats.has(decimals)) {
    formats.set(decimals, new Intl.NumberFormat("en-US", { minimumFractionDigits: decimals, maximumFractionDigits: decimals }));
  }
  return formats.get(decimals).format(value);
}

export function money(usd) {
  if (!(usd > 0) || usd === Infinity) return usd === 0 ? "$0" : "any price";
  const rounded = Number(usd.toPrecision(3));
  const decimals = Math.min(20, Math.max(0, 2 - Math.floor(Math.log10(rounded))));
  return `$${fixed(rounded, decimals)}`;
}

export const percent = (share, digits = 1) => `${(100 * share).toFixed(digits)} %`;

const points = (difference) => {
  const size = Math.abs(100 * difference);
  return `${size.toFixed(size < 0.1 ? 2 : 1)} points`;
};

// λ with the digits it needs and no more than stay readable.
export const lamText = (lam) => String(Number(lam.toFixed(lam < 0.01 || lam > 0.99 ? 6 : 4)));

// What one more accuracy point is worth at this rate, in dollars a query.
export const price = (rate) => money(0.01 / rate);

// A saving counts only at equal score; a cheaper point that scores less is said to be just that.
export function against(point, model) {
  const gain = point.score - model.score;
  const saved = model.cost > 0 ? 1 - point.cost / model.cost : -Infinity;
  const less = saved > 0 ? `, for ${percent(saved)} less` : "";
  if (gain < -1e-6) return { headline: "no saving at equal score", detail: `${points(gain)} below it${less}`, none: true };
  if (!(model.cost > 0)) return { headline: "no saving", detail: "it is free", none: true };
  const dearer = saved > -1 ? `costs ${percent(-saved)} more` : `costs ${Number((1 - saved).toPrecision(3))}× as much`;
  const headline = saved >= 0 ? `saves ${percent(saved)}` : dearer;
  return { headline, detail: gain < 5e-5 ? "at equal accuracy" : `${points(gain)} above`, none: false };
}

export const reading = (lam, point) =>
  `λ ${lamText(lam)}: accuracy ${percent(point.score)}, ${money(1000 * point.cost)} per 1k queries`;
