// Ticks of a log cost axis: whole dollar amounts, as many as fit. Plotly's own are bare digits between powers of ten.
import { moneyTick } from "./words.js";

const ROOM = 52; // pixels a label needs
const STEPS = [
  { steps: [1, 1.5, 2, 3, 5, 7], room: 2 * ROOM },
  { steps: [1, 2, 5], room: ROOM },
  { steps: [1, 3], room: ROOM },
];

function multiples(steps, low, high) {
  const values = [];
  for (let power = Math.floor(low); power <= high; power += 1) for (const step of steps) values.push(step * 10 ** power);
  return values.filter((value) => Math.log10(value) >= low && Math.log10(value) <= high);
}

// The axis settings for a view, or Plotly's own where the view is linear or zoomed in far.
export function costTicks({ type, range, _length: width }) {
  if (type !== "log" || range[1] - range[0] < 0.6) return { tickmode: "auto" };
  const decade = width / (range[1] - range[0]);
  const gaps = (steps) => steps.map((step, place) => decade * Math.log10((steps[place + 1] ?? 10) / step));
  const { steps } = STEPS.find(({ steps, room }) => Math.min(...gaps(steps)) >= room) ?? { steps: [1] };
  const every = Math.ceil(ROOM / Math.min(...gaps(steps)));
  const tickvals = multiples(steps, ...range).filter((_, place) => place % every === 0);
  return { tickmode: "array", tickvals, ticktext: tickvals.map((value) => moneyTick(value)) };
}
