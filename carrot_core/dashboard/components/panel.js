// The numbers beside the chart, and the shares of the models.
import { hatched } from "./rows.js";
import { against, money, percent, perSolved, seconds, unbroken } from "./words.js";

const OWN_ROWS = 14; // models with a segment of their own: those that answer most at some λ; the rest share one
const SMALL = 0.01; // several rows below this share, and the rest, are counted in one line
const LEAST = 0.001; // a smaller share would be written as 0
const LISTED = 9; // rows at most, beside that line

const element = (tag, className, text = "") => Object.assign(document.createElement(tag), { className, textContent: text });

export class Panel {
  constructor(root) {
    this.root = root;
    this.reads = Object.fromEntries(
      [...root.querySelectorAll("[data-read]")].map((node) => [node.dataset.read, node]),
    );
    this.bar = root.querySelector(".bar");
    this.list = root.querySelector(".shares ul");
  }

  update(data, curve, color) {
    this.data = data;
    this.against = { reference: data.models[data.reference], best: data.models[data.best] };
    for (const [name, model] of Object.entries(this.against)) {
      const box = this.root.querySelector(`[data-against=${name}]`);
      box.querySelector(".who").textContent = model.short;
      box.title = model.name;
      box.hidden = name === "best" && data.best === data.reference;
    }
    this.root.querySelector(".router dd").textContent = data.label;
    this.root.querySelector(".count").textContent = data.prompts.toLocaleString("en-US");
    this.root.querySelector(".basis").textContent = data.basis.words;
    this.latency = this.root.querySelector(".latency");
    this.latency.hidden = curve.latency === null;
    this.unit = this.root.querySelector(".solved .unit");
    this.#rows(curve.largestShares(), color);
  }

  #rows(largest, color) {
    if (this.data.groups.length) {
      this.rows = this.data.groups.map(({ name, models, color: light, hatch }) => this.#row(models, name, { color: light, hatch }, color));
      this.#fill();
      return;
    }
    const byCost = largest.map((_, model) => model).sort((a, b) => this.data.models[a].cost - this.data.models[b].cost);
    const ranked = [...byCost].sort((a, b) => largest[b] - largest[a]);
    const top = new Set(ranked.slice(0, ranked.length === OWN_ROWS + 1 ? OWN_ROWS + 1 : OWN_ROWS));
    const own = byCost.filter((model) => top.has(model));
    const others = byCost.filter((model) => !top.has(model));
    this.rows = own.map((model) => this.#row([model], this.data.models[model].short, this.data.models[model], color));
    if (others.length) this.rows.push(this.#row(others, `${others.length} other models`));
    this.#fill();
  }

  #fill() {
    this.bar.replaceChildren(...this.rows.map((row) => row.segment));
    this.folded = element("li", "idle");
    this.folded.append(element("i", ""), element("span", "name"), element("data", "share"));
  }

  #row(models, label, look, color) {
    const names = models.map((model) => this.data.models[model].name).join(", ");
    const item = element("li", "");
    const [swatch, name, share] = [element("i", "swatch"), element("span", "name", label), element("data", "share")];
    const segment = element("span", "segment");
    for (const node of look ? [swatch, segment] : []) {
      node.style.backgroundColor = color(look.color);
      hatched(node, look.hatch);
    }
    item.append(swatch, name, share);
    item.title = names;
    segment.title = names;
    item.addEventListener("pointerenter", () => this.#highlight(segment));
    item.addEventListener("pointerleave", () => this.#highlight(null));
    return { models, label, look, item, share, segment };
  }

  #highlight(segment) {
    this.bar.classList.toggle("dimmed", segment !== null);
    for (const row of this.rows) row.segment.classList.toggle("lit", row.segment === segment);
  }

  // ``point`` may have the ends of the intervals of its score and cost; ``ring`` is the point at the ring.
  render(point, shares, ring) {
    const { calls } = this.data.basis;
    this.#write("score", point.score, percent(point.score));
    this.#write("cost", point.cost, money(calls * point.cost));
    const [score, cost] = [(value) => percent(value), (usd) => money(calls * Math.max(0, usd))];
    this.#range("score", point.scoreEnds?.map(score), score(point.score), score(ring.score));
    this.#range("cost", point.costEnds?.map(cost), cost(point.cost), cost(ring.cost));
    const solved = perSolved(point.cost, point.score);
    this.#write("solved", solved, Number.isFinite(solved) ? money(calls * solved) : "nothing");
    this.unit.textContent = Number.isFinite(solved) ? this.data.basis.solved : "solved";
    if (!this.latency.hidden) {
      this.#write("latency", point.latency, seconds(point.latency));
      this.latency.querySelector("small").textContent = `in the mean, 95 % within ${seconds(point.p95)}`;
    }
    for (const [name, model] of Object.entries(this.against)) {
      const { headline, detail, none } = against(point, model);
      this.#write(name, 1 - point.cost / model.cost, headline);
      this.reads[name].nextElementSibling.textContent = detail;
      this.reads[name].classList.toggle("none", none);
    }
    for (const row of this.rows) {
      const share = row.models.reduce((sum, model) => sum + shares[model], 0);
      row.segment.style.flexGrow = share;
      row.segment.hidden = share === 0;
      row.share.value = share;
      row.share.textContent = percent(share);
    }
    this.#list(shares);
  }

  // The rows by share, and those below `SMALL` in one line; the list is always as high, so that nothing moves below it.
  #list(shares) {
    const share = (row) => (row.look ? Number(row.share.value) : -1); // the rest comes last
    const ranked = [...this.rows].sort((a, b) => share(b) - share(a));
    const large = ranked.filter((row) => share(row) >= SMALL).length;
    const listed = ranked.length <= Math.min(large + 1, LISTED) && ranked.at(-1).look ? ranked.length : Math.min(large, LISTED);
    const rest = ranked.slice(listed);
    const blank = Math.min(ranked.length, LISTED + 1) - listed - 1; // empty lines
    ranked.forEach(({ item }, place) => {
      item.hidden = place >= listed + Math.max(0, blank);
      item.classList.toggle("blank", place >= listed);
    });
    const total = rest.reduce((sum, row) => sum + Number(row.share.value), 0);
    this.folded.hidden = total === 0;
    const [, name, sum] = this.folded.children;
    const [of, parts] = this.data.groups.length
      ? ["group", rest.map((row) => Number(row.share.value))]
      : ["model", rest.flatMap((row) => row.models.map((model) => shares[model]))];
    const used = parts.filter((part) => part > 0);
    const [s, each] = used.length > 1 ? ["s", " each"] : ["", ""];
    const small = used.every((part) => part < SMALL);
    name.textContent = small ? `${used.length} ${of}${s} under ${percent(SMALL, 0)}${each}` : `${used.length} other ${of}${s}`;
    sum.textContent = total < LEAST ? `under ${percent(LEAST)}` : percent(total);
    const items = ranked.map((row) => row.item);
    const order = [...items.slice(0, listed), this.folded, ...items.slice(listed)];
    if (order.some((item, place) => this.list.children[place] !== item)) this.list.replaceChildren(...order);
  }

  // The bar in words, written when λ stops moving.
  describe() {
    const used = this.rows.filter((row) => Number(row.share.value) > 0);
    this.bar.setAttribute("aria-label", used.map((row) => `${row.label} ${row.share.textContent}`).join(", "));
  }

  // The interval of a figure, and the curve's value under the ring if its text differs.
  #range(name, ends, figure, under) {
    const box = this.reads[name].parentElement.nextElementSibling;
    box.classList.toggle("unknown", !ends);
    if (!ends) return;
    box.lastElementChild.textContent = unbroken(ends.join(" to ")) + (under === figure ? "" : `; ${unbroken(`ring ${under}`)}`);
  }

  #write(name, value, text) {
    this.reads[name].value = value;
    this.reads[name].textContent = unbroken(text);
  }
}
