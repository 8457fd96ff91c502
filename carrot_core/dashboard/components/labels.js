// Which models have their name beside their point, and on which side, without overlaps. In the browser the room changes
// with every zoom; in files Python places the names (carrot_core/figures/theme.py), and tests/label_cases.json makes
// sure that both choose the same sides.

const SIDES = [
  ["top center", -0.5, -1],
  ["bottom center", -0.5, 1],
  ["middle right", 0, 0],
  ["middle left", -1, 0],
  ["top right", 0, -1],
  ["top left", -1, -1],
  ["bottom right", 0, 1],
  ["bottom left", -1, 1],
];
const GAP = 8; // pixels from the point's centre to its name
const HEIGHT = 14;
const CELL = 4;
const TOO_MUCH = 0.25; // of a name crossed by lines: then only the hover text has it

const overlap = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;

function box([, dx, dy], x, y, width) {
  const left = x + dx * width + (dx === 0 ? GAP : dx === -1 ? -GAP : 0);
  const top = y - HEIGHT / 2 + dy * (HEIGHT / 2 + GAP);
  return { left, right: left + width, top, bottom: top + HEIGHT };
}

const around = ({ x, y }) => ({ left: x - 6, right: x + 6, top: y - 6, bottom: y + 6 });

function textWidths(texts, font) {
  const context = document.createElement("canvas").getContext("2d");
  context.font = `11px ${font}`;
  return texts.map((text) => context.measureText(text).width + 4);
}

const cell = (x, y) => `${Math.round(x / CELL)},${Math.round(y / CELL)}`;

const cellsOfLines = (plot, xaxis, yaxis) =>
  cellsAlong(
    plot._fullData
      .filter(({ visible, meta }) => visible === true && ["curve", "hull", "cascades"].includes(meta.role))
      .map(({ x, y }) => Array.from(x, (value, i) => [xaxis.d2p(value), yaxis.d2p(y[i])])),
  );

// Cells that a line in pixels passes through, in which names are avoided.
export function cellsAlong(lines) {
  const cells = new Set();
  for (const line of lines) {
    for (let i = 1; i < line.length; i += 1) {
      const [[x0, y0], [x1, y1]] = [line[i - 1], line[i]];
      const steps = Math.min(500, Math.ceil(Math.hypot(x1 - x0, y1 - y0) / CELL)) || 1;
      for (let step = 0; step <= steps; step += 1) {
        cells.add(cell(x0 + ((x1 - x0) * step) / steps, y0 + ((y1 - y0) * step) / steps));
      }
    }
  }
  return cells;
}

// Share of a box's width that lines cross.
function crossed({ left, right, top, bottom }, cells) {
  let columns = 0;
  for (let x = left; x < right; x += CELL) {
    for (let y = top; y <= bottom; y += CELL) {
      if (!cells.has(cell(x, y))) continue;
      columns += 1;
      break;
    }
  }
  return (columns * CELL) / (right - left);
}

// Side of each point in pixels on which its name of that width has room, null if there is none. Those first in `order`
// choose first; `named` are written even across lines. No name is written over a box that is `taken`.
export function labelSides(points, widths, { order, named, lines, taken = [], width, height }) {
  const inside = (b) => b.left > -GAP && b.right < width + 20 && b.top > -GAP && b.bottom < height;
  const boxes = [...taken];
  const sides = points.map(() => null);
  for (const model of order) {
    const others = points.filter((_, other) => other !== model).map(around);
    const free = SIDES.map((side) => ({ side, at: box(side, points[model].x, points[model].y, widths[model]) }))
      .filter(({ at }) => inside(at) && ![...boxes, ...others].some((other) => overlap(other, at)))
      .map((candidate) => ({ ...candidate, crossed: crossed(candidate.at, lines) }))
      .sort((a, b) => a.crossed - b.crossed);
    if (!free.length || (free[0].crossed > TOO_MUCH && !named.includes(model))) continue;
    sides[model] = free[0].side[0];
    boxes.push(free[0].at);
  }
  return sides;
}

// The ring around a point in pixels, and the lines from it to both axes.
const boxesOfRing = ({ x, y }, height) => [
  { left: x - 14, right: x + 14, top: y - 14, bottom: y + 14 },
  { left: x - 3, right: x + 3, top: y, bottom: height },
  { left: 0, right: x, top: y - 3, bottom: y + 3 },
];

// `at` gives the place of a model on the chart's x axis, `ring` a point of the figure in pixels or null; models that are
// `hidden` have no name.
export function placeLabels(plotly, plot, data, font, at, ring, hidden) {
  const place = plot.data.findIndex((trace) => trace.meta.role === "models");
  const { xaxis, yaxis } = plot._fullLayout;
  const points = data.models.map((model, place) => ({ x: xaxis.d2p(at(model, place)), y: yaxis.d2p(100 * model.score) }));
  const sides = labelSides(points, textWidths(data.texts, font), {
    order: data.labelOrder.filter((model) => !hidden.has(model)),
    named: [data.best, data.reference],
    lines: cellsOfLines(plot, xaxis, yaxis),
    taken: ring ? boxesOfRing({ x: ring.x - xaxis._offset, y: ring.y - yaxis._offset }, yaxis._length) : [],
    width: xaxis._length,
    height: yaxis._length,
  });
  const text = data.texts.map((name, model) => (sides[model] ? name : ""));
  const textposition = sides.map((side) => side ?? "top center");
  const trace = plot.data[place]; // after a new drawing, as for another theme, it has the names of the scene again
  if (JSON.stringify([trace.text, trace.textposition]) === JSON.stringify([text, textposition])) return;
  plotly.restyle(plot, { text: [text], textposition: [textposition] }, [place]);
}
