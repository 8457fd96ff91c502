// The table of the models, a row each, the best utility first.
import { money, percent } from "./words.js";

export const element = (tag, className, text = "") => Object.assign(document.createElement(tag), { className, textContent: text });

const count = (tokens) => (tokens === null ? "–" : Math.round(tokens).toLocaleString("en-US"));
const share = (score) => Math.min(1, Math.max(0, score)); // an estimate may leave the scale
const dollars = (usd) => money(1000 * usd);

function between(low, high, words) {
  return low === null || words(low) === words(high) ? "" : `${words(low)} to ${words(high)}`;
}

function cell(kind, value, interval) {
  const node = element("td", kind);
  node.append(element("span", "value", value), element("small", "", interval));
  return node;
}

// The interval on a scale from 0 to 100 %, the estimate a tick on it.
function bar({ score, scoreLow, scoreHigh }, color) {
  const node = element("span", "bar");
  const [range, tick] = [element("i", "range"), element("i", "tick")];
  const at = (score) => `${100 * share(score)}%`;
  Object.assign(range.style, { left: at(scoreLow), width: at(scoreHigh - scoreLow), background: color });
  tick.style.left = at(score);
  node.append(range, tick);
  return node;
}

// What a model scored on the nearest training prompts, a box each, filled as far as it was right.
function record(scores) {
  const node = element("td", "near");
  const said = scores.map((score) => (score === null ? "not known" : percent(score, 0)));
  node.append(element("span", "unseen", said.join(", ")));
  scores.forEach((score, place) => {
    const box = element("i", score === null ? "dot none" : "dot");
    box.style.setProperty("--filled", score === null ? 0 : share(score));
    box.title = `${place + 1}: ${said[place]}`;
    node.append(box);
  });
  return node;
}

export class Rows {
  constructor(body) {
    this.body = body;
  }

  fill(models, colors, nearest) {
    const table = this.body.closest("table");
    table.classList.toggle("without-near", !nearest.length);
    for (const kind of ["input", "output"]) {
      table.classList.toggle(`without-${kind}`, models.every((model) => model[kind] === null));
    }
    this.rows = models.map((model, place) => this.#row(model, colors[place], nearest.map(({ scores }) => scores[place])));
    this.order = "";
  }

  #row(model, color, scores) {
    const row = element("tr", "");
    const name = element("th", "");
    name.scope = "row";
    const swatch = element("i", "swatch");
    swatch.style.background = color;
    const badge = element("span", "badge");
    const maker = model.name.endsWith(model.short) ? model.name.slice(0, -model.short.length) : "";
    const words = element("span", "name");
    words.append(element("span", "maker", maker), maker ? model.short : model.name, badge);
    name.title = model.name;
    const line = element("span", "line");
    line.append(swatch, words);
    name.append(line);
    const accuracy = cell("accuracy", percent(share(model.score)), between(model.scoreLow, model.scoreHigh, (end) => percent(end, 0)));
    accuracy.append(bar(model, color));
    const utility = element("td", "utility");
    row.append(
      name,
      accuracy,
      record(scores),
      cell("cost", dollars(model.cost), between(model.costLow, model.costHigh, dollars)),
      cell("output", count(model.output), between(model.outputLow, model.outputHigh, count)),
      cell("input", count(model.input), ""),
      utility,
    );
    return { row, badge, utility };
  }

  show(utility, { winner, second }) {
    const first = (model) => (model === winner ? 0 : model === second ? 1 : 2);
    const order = utility.map((_, model) => model).sort((a, b) => first(a) - first(b) || utility[b] - utility[a]);
    if (String(order) !== this.order) {
      this.order = String(order);
      this.body.replaceChildren(...order.map((model) => this.rows[model].row));
      this.rows.forEach(({ row, badge }, model) => {
        row.className = ["first", "second", ""][first(model)];
        badge.textContent = ["chosen", "second", ""][first(model)];
      });
    }
    this.rows.forEach((row, model) => {
      row.utility.textContent = utility[model].toFixed(4);
    });
  }
}
