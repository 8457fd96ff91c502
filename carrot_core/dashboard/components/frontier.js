// The live frontier. All that moves with λ moves in the browser; Python gets λ only when it is released.
import { Chart, Toolbar, recolored } from "./chart.js";
import { Curve } from "./curve.js";
import { Handle } from "./handle.js";
import { drawLegend } from "./legend.js";
import { Panel } from "./panel.js";
import { Slider } from "./slider.js";
import { Goals } from "./goals.js";
import { reading, underRing } from "./words.js";

function lookOf(root) {
  const style = getComputedStyle(root);
  const [red, green, blue] = style.backgroundColor.match(/[\d.]+/g).map(Number);
  return { dark: 0.299 * red + 0.587 * green + 0.114 * blue < 128, ground: style.backgroundColor, font: style.fontFamily };
}

class Live {
  constructor(root) {
    this.root = root.querySelector(".live");
    this.lam = null;
    this.releaseName = null; // name of the last release sent to Python
    this.frame = 0;
    const moves = { onMove: (lam) => this.move(lam), onRelease: () => this.release() };
    this.goals = new Goals(this.root, moves);
    const steps = { ...moves, onMove: (index) => this.move(this.curve.lamOf(index)), onCancel: () => this.cancel() };
    this.slider = new Slider(this.root, steps);
    this.handle = new Handle(this.root, steps);
    this.panel = new Panel(this.root);
    this.legend = new Toolbar(this.root.querySelector(".legend"));
    this.pinned = new Toolbar(this.root.querySelector(".pins"));
    this.pins = [];
    this.chart = new Chart(root, { onView: () => this.viewed(), ringAt: () => this.#ring() });
    this.hear = ({ detail }) => detail === this.data?.chart && this.receive();
    addEventListener("carrot-lam", this.hear);
  }

  get attached() {
    return this.root.isConnected;
  }

  leave() {
    if (this.attached) return; // an earlier call of a component that is still on the page
    removeEventListener("carrot-lam", this.hear);
    globalThis.carrotLam?.delete(this.data.chart);
    this.chart.leave();
  }

  update(data, setStateValue) {
    this.tell = setStateValue;
    const look = lookOf(this.root);
    const same = (key) => this.look?.[key] === look[key];
    if (this.data?.hash === data.hash && same("ground") && same("font")) return;
    if (this.data?.hash !== data.hash) this.#scene(data);
    this.look = look;
    this.#paint();
    this.chart.update(this.data, look);
    this.receive();
  }

  #scene(data) {
    this.data = data;
    this.curve = new Curve(data);
    this.goals.update(data);
    this.root.setAttribute("aria-label", data.title);
    this.root.classList.toggle("brief", data.brief);
    const note = this.root.querySelector(".note:not(.by-cost)");
    note.textContent = data.note;
    note.hidden = !data.note;
  }

  #paint() {
    const color = (light) => (this.look.dark ? (this.data.dark[light] ?? light) : light);
    this.root.style.setProperty("--active", color(this.data.active));
    this.root.style.setProperty("--muted", color(this.data.muted));
    this.panel.update(this.data, this.curve, color);
    const lines = this.data.figure.data.map(({ name, mode, meta, showlegend, line, marker }) => ({
      name,
      mode,
      meta,
      showlegend,
      ...(this.look.dark ? recolored({ line, marker }, this.data.dark) : { line, marker }),
    }));
    drawLegend(this.root.querySelector(".legend"), lines, this.data.name, this.chart.hidden, (entry) => this.chart.toggle(entry));
    this.legend.update();
    if (this.lam !== null) this.show(this.lam);
  }

  // λ from Python. A message that does not name the last release is out of date.
  receive() {
    const message = globalThis.carrotLam?.get(this.data.chart);
    if (!message || this.busy) return;
    if (this.releaseName !== null && message.heard !== this.releaseName) return;
    this.restingLam = message.lam;
    this.measured = message.point;
    this.#pin(message.pins);
    this.resting = true;
    this.show(message.lam);
  }

  // Kept points as buttons on the curve: each sets its λ.
  #pin(pins) {
    if (JSON.stringify(pins) === JSON.stringify(this.pins)) return;
    this.pins = pins;
    const buttons = pins.map(({ name, lam }) => {
      const button = Object.assign(document.createElement("button"), { type: "button", className: "pin" });
      button.append(Object.assign(document.createElement("span"), { textContent: name }));
      button.addEventListener("click", () => {
        this.move(lam);
        this.release();
      });
      return button;
    });
    this.pinned.box.replaceChildren(...buttons);
    this.pinned.box.hidden = !pins.length;
    this.pinned.update();
    this.#placePins();
  }

  #placePins() {
    const { pixels, scale } = this.handle;
    if (!pixels) return;
    [...this.pinned.box.children].forEach((button, place) => {
      const index = this.curve.index(this.pins[place].lam);
      const [x, y] = [pixels.x[index], pixels.y[index]];
      button.hidden = x < scale.left - 1 || x > scale.right + 1 || y < scale.top - 1 || y > scale.bottom + 1;
      button.style.translate = `${x}px ${y}px`;
      button.classList.toggle("leftward", x > (scale.left + scale.right) / 2); // its name has room there
    });
  }

  get busy() {
    return this.handle.dragging || this.slider.dragging || this.moving;
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
    if (this.lam === null) return;
    this.resting = true;
    this.show(this.lam);
    if (this.lam === this.restingLam) return;
    this.restingLam = this.lam;
    this.measured = null; // until Python answers
    this.releaseName = String(Math.random());
    this.root.querySelector(".spoken").textContent = this.text;
    this.tell("released", { lam: this.lam, name: this.releaseName });
  }

  // Parts that need not change at every frame: the descriptions of the chart and the bar.
  #describe() {
    this.resting = false;
    this.chart.placeNames();
    this.panel.describe();
    this.root.querySelector(".figure").setAttribute("aria-label", `${this.data.alt} ${this.text}.`);
  }

  viewed() {
    const { clientWidth: width, clientHeight: height } = this.root.querySelector(".figure");
    const scale = this.chart.scale() ?? this.curve.scale(width, height, this.data.canLog);
    this.handle.project(this.curve, scale);
    this.#placePins();
    this.slider.project(this.handle.pixels.x, scale, (lam) => this.curve.index(lam));
    if (this.lam !== null) this.show(this.lam);
  }

  #ring() {
    return this.lam === null || !this.handle.pixels ? null : this.handle.place(this.curve.index(this.lam));
  }

  show(lam) {
    this.lam = lam;
    const index = this.curve.index(lam);
    const { score, cost, latency, p95 } = this.curve;
    // While λ does not move: score and cost with intervals as Python measured them, the figures of the verdict.
    const measured = lam === this.restingLam ? this.measured : null;
    const ring = { score: score[index], cost: cost[index] };
    const point = { ...ring, latency: latency?.[index], p95: p95?.[index], ...measured };
    this.text = reading(lam, point, this.data.basis, this.data.models[this.data.reference]);
    this.slider.show(index, this.curve.cost.length, this.text);
    this.goals.show(lam, measured && underRing(measured, ring, this.data.basis));
    this.next = () => {
      this.handle.show(index, this.goals.promise(lam));
      this.panel.render(point, this.curve.shares(index), ring);
    };
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.next();
      if (this.resting) this.#describe();
    });
  }
}

const lives = new WeakMap();

export default function ({ data, parentElement, setStateValue }) {
  let live = lives.get(parentElement);
  if (!live?.attached) {
    live = new Live(parentElement);
    lives.set(parentElement, live);
  }
  live.update(data, setStateValue);
  return () => live.leave();
}
