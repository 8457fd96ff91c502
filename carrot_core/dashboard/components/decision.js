// The decision on one prompt at every λ. λ moves in the browser; Python gets it when it is released.
import { Rows, element, hatched, swatchOf } from "./rows.js";
import { lastAtMost, shortest } from "./curve.js";
import { Slider } from "./slider.js";
import { lamText, money, pays } from "./words.js";

// Black or white, whichever is easier to read on a colour.
function inkOn(color) {
  const channels = [1, 3, 5].map((place) => parseInt(color.slice(place, place + 2), 16) / 255);
  const [red, green, blue] = channels.map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 ? "#000" : "#fff";
}

function isDark(root) {
  const [red, green, blue] = getComputedStyle(root).backgroundColor.match(/[\d.]+/g).map(Number);
  return 0.299 * red + 0.587 * green + 0.114 * blue < 128;
}

class Decision {
  constructor(root) {
    this.root = root.querySelector(".decision");
    this.rows = new Rows(this.root.querySelector("tbody"));
    this.releaseName = null; // name of the last release sent to Python
    this.slider = new Slider(this.root, {
      onMove: (stop) => this.move(this.#lamOf(stop)),
      onRelease: () => this.release(),
      onCancel: () => this.cancel(),
    });
    this.band = this.root.querySelector(".band");
    new ResizeObserver(() => this.#place()).observe(this.band);
  }

  get attached() {
    return this.root.isConnected;
  }

  update(data, tell) {
    this.tell = tell;
    const dark = isDark(this.root);
    const content = JSON.stringify([data.models, data.stretches, data.nearest, data.axis, dark]);
    if (this.content !== content) {
      this.content = content;
      this.data = data;
      this.colors = data.models.map((model) => (dark ? model.dark : model.light));
      this.#write(".basis", data.basis.words);
      this.rows.fill(data.models, this.colors, data.nearest, data.basis);
      this.#ribbon();
      this.#nearest();
      this.announcement = null;
    }
    this.#write(".came-about", data.about.join("\n"));
    this.#likeness(data.likeness);
    this.#read(data.read);
    // A message that does not name the last release has an old λ.
    if (!this.moving && (this.releaseName === null || this.releaseName === data.heard)) this.restingLam = data.lam;
    this.show(this.moving ? this.lam : this.restingLam);
    if (!this.moving) this.#speak();
  }

  #likeness(likeness) {
    const box = this.root.querySelector(".likeness");
    box.hidden = !likeness;
    if (!likeness) return;
    const { degree, words } = likeness;
    box.classList.toggle("low", degree === 1);
    box.querySelectorAll("i").forEach((step, place) => step.classList.toggle("full", place < degree));
    const meter = box.querySelector(".meter");
    meter.setAttribute("aria-valuenow", degree);
    meter.setAttribute("aria-valuetext", words);
    this.#write(".words", words);
  }

  #read(read) {
    const box = this.root.querySelector(".read");
    box.hidden = !read;
    [...box.querySelectorAll("p > *")].forEach((node, place) => (node.textContent = read?.[place] ?? ""));
  }

  // Place of λ on the axis, as a part of it from the cheap end.
  #placeOf(lam) {
    const { lam: lams, place } = this.data.axis;
    const at = Math.min(lastAtMost(lams, lam), lams.length - 2);
    return place[at] + ((place[at + 1] - place[at]) * (lam - lams[at])) / (lams[at + 1] - lams[at]);
  }

  // λ of a stop: the router's breakpoints, and each λ at which this prompt gets another model or runner-up.
  #lamOf(stop) {
    const [low, high] = [this.stops[stop], this.stops[stop + 1] ?? 1];
    return stop === 0 || low === high ? low : shortest(low, high, (lam) => lastAtMost(this.stops, lam) === stop);
  }

  #place() {
    if (!this.data) return;
    const { offsetLeft: left, clientWidth: width } = this.band;
    const xs = Float32Array.from(this.stops, (lam) => left + this.#placeOf(lam) * width);
    this.slider.project(xs, { left, right: left + width }, (lam) => lastAtMost(this.stops, lam));
    if (this.lam !== undefined) this.show(this.lam);
  }

  #ribbon() {
    const { models, segments, stretches, axis, alt } = this.data;
    this.stops = [...new Set([...axis.lam, ...[...segments, ...stretches].map(({ from }) => from)])].sort((a, b) => a - b);
    this.#write(".axis", axis.words);
    this.band.setAttribute("aria-label", alt);
    this.band.replaceChildren(...segments.map((part) => this.#segment(part)).reverse());
    this.#place();
    this.switches = segments.map(({ model, from, to }) => {
      const item = element("li", "");
      item.append(swatchOf(this.colors[model], models[model].hatch), element("span", "name", models[model].short), element("span", "range", `${lamText(from)} – ${lamText(to)}`));
      item.title = `${models[model].name}: λ ${from} to ${to}`;
      return item;
    });
    this.root.querySelector(".switches").replaceChildren(...this.switches);
  }

  #nearest() {
    const { nearest } = this.data;
    const list = this.root.querySelector(".nearest");
    list.hidden = !nearest.length;
    const items = nearest.map(({ similarity, task, text }) => {
      const item = element("li", "");
      item.append(element("span", "about", `${similarity.toFixed(2)} similar${task ? ` · ${task}` : ""}`));
      const box = element("details", "");
      box.append(element("summary", "", text));
      item.append(box);
      return item;
    });
    list.querySelector("ol").replaceChildren(...items);
  }

  #segment({ model, from, to }) {
    const { short, name, hatch } = this.data.models[model];
    const part = hatched(element("span", "segment"), hatch);
    const color = this.colors[model];
    const [left, right] = [to, from].map((lam) => this.#placeOf(lam));
    Object.assign(part.style, { left: `${100 * left}%`, width: `${100 * (right - left)}%`, backgroundColor: color, color: inkOn(color) });
    part.append(element("span", "", short));
    part.title = name;
    return part;
  }

  move(lam) {
    this.moving = true;
    this.show(lam);
  }

  cancel() {
    this.moving = false;
    this.show(this.restingLam);
  }

  release() {
    this.moving = false;
    this.#speak();
    if (this.lam === this.restingLam) return;
    this.restingLam = this.lam;
    this.releaseName = String(Math.random());
    this.tell("released", { lam: this.lam, name: this.releaseName });
  }

  #speak() {
    if (this.announcement === this.sentence) return;
    this.announcement = this.sentence;
    this.root.querySelector(".spoken").textContent = this.sentence;
  }

  show(lam) {
    this.lam = lam;
    const { models, segments, stretches, unit, fellBack } = this.data;
    const stretch = stretches.findLast(({ from }) => from <= lam);
    const current = segments.findLastIndex(({ from }) => from <= lam);
    const utility = models.map(({ score, cost }) => (1 - lam) * score - (lam * cost) / unit);
    const winner = models[stretch.winner];
    this.sentence = stretch.sentence;
    this.#write(".label", fellBack ? "The fallback answers" : "CARROT sends it to");
    this.#write(".about-ribbon", fellBack ? "What CARROT would choose for which λ" : "Which model for which λ");
    this.#write(".winner", winner.name);
    this.#write(".sentence", stretch.sentence);
    this.#write("[data-read=lam]", lamText(lam));
    const rate = lam < 1 ? lam / ((1 - lam) * unit) : Infinity;
    this.#write("[data-read=price]", pays(rate));
    this.#write("[data-read=unit]", money(unit));
    const margin = stretch.second === null ? NaN : utility[stretch.winner] - utility[stretch.second];
    this.#write("[data-read=margin]", stretch.second === null ? "no other model" : margin.toFixed(4));
    this.slider.show(lastAtMost(this.stops, lam), this.stops.length, `λ ${lamText(lam)}: ${winner.name}`);
    this.switches.forEach((item, place) => item.classList.toggle("here", place === current));
    this.rows.show(utility, stretch);
  }

  #write(selector, text) {
    const node = this.root.querySelector(selector);
    if (node.textContent !== text) node.textContent = text;
  }
}

const decisions = new WeakMap();

export default function ({ data, parentElement, setStateValue }) {
  let decision = decisions.get(parentElement);
  if (!decision?.attached) {
    decision = new Decision(parentElement);
    decisions.set(parentElement, decision);
  }
  decision.update(data, setStateValue);
}
