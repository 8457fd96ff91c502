// Ticks of a log cost axis: whole dollar amounts, as many as fit. Plotly's own are single digits between powers of ten.
const LETTER = 7; // width of a letter in pixels
const GAP = 12; // pixels between two labels
// Steps within a power of ten, and how many times its own width each label needs: the first set is only for wide views.
const STEPS = [
  [[1, 1.5, 2, 3, 5, 7], 2],
  [[1, 2, 5], 1],
  [[1, 3], 1],
];

export const labelWidth = (text) => LETTER * text.length + GAP;

// Whether labels centred at ascending pixels have room between them.
const apart = (pixels, texts, times) =>
  texts.every((text, at) => !at || pixels[at] - pixels[at - 1] >= (times * (labelWidth(text) + labelWidth(texts[at - 1]))) / 2);

function multiples(steps, low, high, every) {
  const values = [];
  for (let power = Math.floor(low); power <= high; power += 1) {
    if (power % every === 0) for (const step of steps) values.push(Number(`${step}e${power}`));
  }
  return values.filter((value) => Math.log10(value) >= low && Math.log10(value) <= high);
}

// The axis settings for a view, its values written by `text`, or Plotly's own if the view is linear or zoomed in far.
export function costTicks({ type, range, _length: width }, text) {
  if (type !== "log" || range[1] - range[0] < 0.6) return { tickmode: "auto" };
  const powers = [1, 2, 3, 4, 6, 12].map((every) => [[1], 1, every]);
  for (const [steps, times, every = 1] of [...STEPS, ...powers]) {
    const tickvals = multiples(steps, ...range, every);
    const ticktext = tickvals.map(text);
    const pixels = tickvals.map((value) => ((Math.log10(value) - range[0]) / (range[1] - range[0])) * width);
    if (apart(pixels, ticktext, times)) return { tickmode: "array", tickvals, ticktext };
  }
  return { tickmode: "auto" };
}

// Values of λ in order of importance.
const LAMS = [0, 1, 0.1, 0.5, 0.01, 0.05, 0.2, 0.02, 0.001, 0.9, 0.3, 0.03, 0.005, 0.7, 0.002, 0.99, 0.07, 0.4, 0.015];

// Ticks at the λ that have room for their labels, centred at their places; `inside` tells whether a pixel is visible.
export function lamTicks(place, inside) {
  const ticks = [];
  for (const lam of LAMS) {
    const [x, text] = [place(lam), String(lam)];
    const touches = (other) => Math.abs(other.x - x) < (labelWidth(text) + labelWidth(other.text)) / 2;
    if (inside(x) && !ticks.some(touches)) ticks.push({ lam, x, text });
  }
  return ticks;
}
