// A legend of buttons, one per line or mark, reachable by keyboard and big enough for a finger.
import { entryOf } from "./chart.js";

const SVG = "http://www.w3.org/2000/svg";
const DASHES = { solid: "", dash: "6 4", dot: "2 3", dashdot: "6 3 2 3", longdash: "10 4", longdashdot: "9 3 2 3" };
const MARKS = {
  circle: "M14 4a4 4 0 1 0 .01 0z",
  square: "M10.5 4.5h7v7h-7z",
  diamond: "M14 3.5l4.5 4.5-4.5 4.5-4.5-4.5z",
  "triangle-up": "M14 3.5l4.5 8h-9z",
  "triangle-down": "M14 12.500l4.5-8h-9z",
  cross: "M12.500 4h3v2.500h2.500v3h-2.500v2.500h-3v-2.500h-2.500v-3h2.500z",
  x: "M11 4l3 3 3-3 1.500 1.500-3 2.500 3 3-1.500 1.500-3-3-3 3-1.500-1.500 3-3-3-2.500z",
  star: "M14 2l1.800 3.900 4.200.5-3.100 2.900.8 4.200-3.700-2.100-3.700 2.100.8-4.200-3.100-2.900 4.200-.5z",
  "circle-open": "M14 3a5 5 0 1 0 .01 0z",
  "diamond-open": "M14 3.5l4.5 4.5-4.5 4.5-4.5-4.5z",
};

function swatch({ line, marker, mode }) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 28 16");
  const add = (name, attributes) => {
    const node = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    svg.append(node);
  };
  if (mode.includes("lines"))
    add("path", { d: "M0 8h28", stroke: line.color, "stroke-width": line.width, "stroke-dasharray": DASHES[line.dash] ?? line.dash });
  if (mode.includes("markers")) {
    const color = Array.isArray(marker.color) ? "currentColor" : marker.color;
    const open = marker.symbol?.endsWith("-open");
    add("path", { d: MARKS[marker.symbol ?? "circle"], fill: open ? "none" : color, stroke: open ? color : "none" });
  }
  return svg;
}

const plain = (text) => text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");

export function drawLegend(box, traces, active, hidden, onToggle) {
  const rank = ({ meta }) => (meta.name === active ? -1 : ["curve", "hull", "cascades", "models", "group", "best", "reference"].indexOf(meta.role));
  const isListed = ({ meta, showlegend }) => meta.role !== "band" && showlegend !== false;
  const entries = traces.filter(isListed).sort((a, b) => rank(a) - rank(b));
  box.replaceChildren(
    ...entries.map((trace) => {
      const entry = entryOf(trace);
      const button = Object.assign(document.createElement("button"), { type: "button", title: plain(trace.name) });
      const label = Object.assign(document.createElement("span"), { textContent: plain(trace.name) });
      button.append(swatch(trace), label);
      button.setAttribute("aria-pressed", String(!hidden.has(entry)));
      button.addEventListener("click", () => {
        onToggle(entry);
        button.setAttribute("aria-pressed", String(!hidden.has(entry)));
      });
      return button;
    }),
  );
}
