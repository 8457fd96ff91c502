// The table of the models, one row each, the best utility first.
import { money, percent, unbroken } from "./words.js";

export const element = (tag, className, text = "") => Object.assign(document.createElement(tag), { className, textContent: text });

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 }); // created once, since that is slow
const count = (tokens) => (tokens === null ? "–" : whole.format(tokens));
const share = (score) => Math.min(1, Math.max(0, score)); // an estimate may leave the scale

function between(low, high, words) {
  return low === null || words(low) === words(high) ? "" : unbroken(`${words(low)} to ${words(high)}`);
}

// A node that is hatched at an angle in CSS, or plain if that is empty.
export function hatched(node, angle) {
  node.classList.toggle("hatched", angle !== "");
  node.style.setProperty("--hatch", angle);
  return node;
}

// The colour of a model, hatched as in the bar.
export function swatchOf(color, hatch) {
  const swatch = hatched(element("i", "swatch"), hatch);
  swatch.style.backgroundColor = color;
  return swatch;
}

// Writes text only if it differs, so that unchanged rows are not drawn again.
function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

class Cell {
  constructor(kind) {
    this.node = element("td", kind);
    [this.value, this.interval] = [element("span", "value"), element("small", "")];
    this.node.append(this.value, this.interval);
  }

  show(value, interval) {
    write(this.value, value);
    write(this.interval, interval);
  }
}

// The interval on a scale from 0 to 100 %, with a tick at the estimate.
class Bar {
  constructor(color) {
    this.node = element("span", "bar");
    [this.range, this.tick] = [element("i", "range"), element("i", "tick")];
    this.range.style.background = color;
    this.node.append(this.range, this.tick);
  }

  show({ score, scoreLow, scoreHigh }) {
    const at = (score) => `${100 * share(score)}%`;
    Object.assign(this.range.style, { left: at(scoreLow), width: at(scoreHigh - scoreLow) });
    this.tick.style.left = at(score);
  }
}

// A model's scores on the nearest training prompts, one box each, filled in proportion to the score.
function record(node, scores) {
  const texts = scores.map((score) => (score === null ? "not known" : percent(score, 0)));
  const boxes = scores.map((score, place) => {
    const box = element("i", score === null ? "dot none" : "dot");
    box.style.setProperty("--filled", score === null ? 0 : share(score));
    box.title = `${place + 1}: ${texts[place]}`;
    return box;
  });
  node.replaceChildren(element("span", "unseen", texts.join(", ")), ...boxes);
}

class Row {
  constructor({ name, short, hatch, group }, color) {
    this.node = element("tr", "");
    const head = element("th", "");
    head.scope = "row";
    const swatch = swatchOf(color, hatch);
    this.badge = element("span", "badge");
    const maker = name.endsWith(short) ? name.slice(0, -short.length) : "";
    const words = element("span", "name");
    words.append(element("span", "maker", maker), maker ? short : name, element("span", "group", group && ` · ${group}`), this.badge);
    head.title = name;
    const line = element("span", "line");
    line.append(swatch, words);
    head.append(line);
    const kinds = ["accuracy", "cost", "output", "input"];
    [this.accuracy, this.cost, this.output, this.input] = kinds.map((kind) => new Cell(kind));
    this.bar = new Bar(color);
    this.accuracy.node.append(this.bar.node);
    [this.near, this.utility] = [element("td", "near"), element("td", "utility")];
    const cells = [this.cost, this.output, this.input].map(({ node }) => node);
    this.node.append(head, this.accuracy.node, this.near, ...cells, this.utility);
  }

  show(model, scores, { calls }) {
    const dollars = (usd) => money(calls * usd);
    const ends = (name, words) => between(model[`${name}Low`], model[`${name}High`], words);
    this.accuracy.show(percent(share(model.score)), ends("score", (end) => percent(end, 0)));
    this.cost.show(dollars(model.cost), ends("cost", dollars));
    this.output.show(count(model.output), ends("output", count));
    this.input.show(count(model.input), "");
    this.bar.show(model);
    record(this.near, scores);
  }
}

const FIRST = 6; // rows that a phone shows at first; decision.css hides the others there

export class Rows {
  constructor(body) {
    this.body = body;
    this.all = body.closest(".decision").querySelector(".all");
    this.all.addEventListener("click", () => {
      body.closest("table").classList.add("whole");
      this.all.hidden = true;
      body.closest(".scroll").focus();
    });
  }

  fill(models, colors, nearest, basis) {
    const table = this.body.closest("table");
    table.classList.toggle("without-near", !nearest.length);
    this.all.hidden = models.length <= FIRST || table.classList.contains("whole");
    write(this.all, `All ${models.length} models`);
    for (const kind of ["input", "output"]) {
      table.classList.toggle(`without-${kind}`, models.every((model) => model[kind] === null));
    }
    const content = JSON.stringify([models.map(({ name, short, hatch, group }) => [name, short, hatch, group]), colors]);
    if (content !== this.content) {
      this.content = content;
      this.rows = models.map((model, place) => new Row(model, colors[place]));
      this.order = "";
    }
    const heads = [...table.querySelectorAll("thead th")].map((head) => head.textContent);
    for (const { node } of this.rows) [...node.cells].forEach((cell, place) => (cell.dataset.head = heads[place]));
    this.rows.forEach((row, place) => row.show(models[place], nearest.map(({ scores }) => scores[place]), basis));
  }

  show(utility, { winner, second }) {
    const first = (model) => (model === winner ? 0 : model === second ? 1 : 2);
    const order = utility.map((_, model) => model).sort((a, b) => first(a) - first(b) || utility[b] - utility[a]);
    if (String(order) !== this.order) {
      this.order = String(order);
      this.body.replaceChildren(...order.map((model) => this.rows[model].node));
    }
    this.rows.forEach((row, model) => {
      row.node.className = ["first", "second", ""][first(model)];
      write(row.badge, ["chosen", "second", ""][first(model)]);
      write(row.utility, utility[model].toFixed(4));
    });
  }
}
