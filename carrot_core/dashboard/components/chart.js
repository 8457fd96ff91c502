// The Plotly chart: drawn when the scene or the theme changes, left alone while λ moves.
import { placeLabels } from "./labels.js";
import { costTicks } from "./ticks.js";
import { moneyTick, perSolved } from "./words.js";

let loading = null;

// Plotly ships as a classic script that puts itself on globalThis.
function loadPlotly() {
  loading ??= import(new URL("./plotly.min.js", import.meta.url)).then(
    () => globalThis.Plotly,
    (error) => {
      loading = null;
      throw error;
    },
  );
  return loading;
}

// Plotly writes its style rules into the document's head, which a shadow root does not see.
function adoptStyles(root) {
  const source = document.getElementById("plotly.js-style-global");
  const sheet = new CSSStyleSheet();
  for (const rule of source.sheet.cssRules) sheet.insertRule(rule.cssText, sheet.cssRules.length);
  root.adoptedStyleSheets = [sheet];
}

export function recolored(value, colors) {
  if (typeof value === "string") return colors[value] ?? value;
  if (Array.isArray(value)) return value.map((item) => recolored(item, colors));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, recolored(item, colors)]));
}

// Writes a choice that only the browser knows to the address; "" removes it.
function setParameter(name, value) {
  const address = new URL(location.href);
  if (value) address.searchParams.set(name, value);
  else address.searchParams.delete(name);
  history.replaceState(history.state, "", address);
}

const COARSE = matchMedia("(pointer: coarse)");
const NARROW = 560; // pixels; below it the space belongs to the lines alone

const isReachable = (button) => !button.disabled && button.checkVisibility({ visibilityProperty: true });

// Makes a toolbar one stop of the Tab key; arrow keys, Home and End go from button to button.
export class Toolbar {
  constructor(box) {
    this.box = box;
    box.addEventListener("focusin", ({ target }) => this.#stop(target));
    box.addEventListener("keydown", (event) => {
      const reachable = this.#buttons.filter(isReachable);
      const at = reachable.indexOf(event.target);
      const last = reachable.length - 1;
      const next = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: last }[event.key];
      if (next === undefined || at < 0) return;
      event.preventDefault();
      reachable[Math.min(last, Math.max(0, next))].focus();
    });
  }

  get #buttons() {
    return [...this.box.querySelectorAll("button")];
  }

  // Call after its buttons have changed: the stop is the button in use, else the first that is enabled.
  update() {
    const reachable = this.#buttons.filter(isReachable);
    this.#stop(reachable.find((button) => button === this.box.getRootNode().activeElement) ?? reachable[0]);
  }

  #stop(stop) {
    for (const button of this.#buttons) button.tabIndex = button === stop ? 0 : -1;
  }
}

export class Chart {
  constructor(root, { onView, ringAt }) {
    this.root = root;
    this.plot = root.querySelector(".plot");
    this.message = root.querySelector(".message");
    this.reset = root.querySelector(".reset");
    this.axes = [...root.querySelectorAll("[data-axis]")];
    this.kinds = [...root.querySelectorAll("[data-kind]")];
    this.byCost = root.querySelector(".by-cost");
    this.toolbar = new Toolbar(root.querySelector(".axis"));
    this.onView = onView;
    this.ringAt = ringAt;
    this.hidden = new Set();
    this.#readAddress();
    this.goBack = () => this.#goBack();
    addEventListener("popstate", this.goBack);
    for (const button of this.axes) {
      button.addEventListener("click", () => this.#setAxis(button.dataset.axis === "log"));
    }
    for (const button of this.kinds) {
      const { kind } = button.dataset;
      button.addEventListener("click", () => this.#setKind(this.kind === kind ? "cost" : kind));
    }
    this.reset.addEventListener("click", () =>
      this.plotly.relayout(this.plot, { "xaxis.autorange": true, "yaxis.autorange": true }),
    );
    this.resizes = new ResizeObserver(() => this.#resize());
    this.resizes.observe(this.plot);
  }

  leave() {
    removeEventListener("popstate", this.goBack);
    this.resizes.disconnect();
    if (this.plotly) this.plotly.purge(this.plot);
  }

  // The quantity of the axis: cost per call, cost per solved task ("solved") or latency ("seconds"); and its scale.
  #readAddress() {
    const address = new URLSearchParams(location.search);
    this.kind = this.kinds.find(({ dataset }) => dataset.kind === address.get("kind"))?.dataset.kind ?? "cost";
    this.logCost = address.get("axis") === "linear" ? false : null;
  }

  // The browser's back or forward button.
  #goBack() {
    const [kind, log] = [this.kind, this.logCost];
    this.#readAddress();
    if (!this.data) return;
    this.#settleAxis();
    if (kind !== this.kind && this.isDrawn) this.#draw();
    if (log !== this.logCost) this.#drawAxis();
  }

  #settleAxis() {
    if (!this.#places(this.kind)) this.kind = "cost";
    this.logCost = this.canLog && (this.logCost ?? true);
    this.#showAxis();
  }

  async update(data, look) {
    this.data = data;
    this.look = look;
    this.#settleAxis();
    try {
      this.plotly = await loadPlotly();
    } catch {
      this.message.textContent =
        "The chart cannot be drawn: its library (plotly.min.js) did not load. λ and the numbers still work; reload the page to try again.";
      this.message.hidden = false;
      this.onView();
      return;
    }
    if (this.data === data && this.look === look) await this.#draw();
  }

  async #draw() {
    const fresh = !this.isDrawn;
    this.isDrawn = true;
    const { traces, layout } = this.#figure();
    await this.plotly.react(this.plot, traces, layout, {
      displaylogo: false,
      showTips: false,
      displayModeBar: COARSE.matches ? false : "hover",
      modeBarButtons: [["toImage", "zoom2d", "pan2d", "autoScale2d"]],
      toImageButtonOptions: { filename: "carrot-frontier", scale: 2 },
    });
    this.message.hidden = true;
    // The figure's label describes the drawing in words, and parts that need a pointer are no stops for a keyboard.
    for (const drawing of this.plot.querySelectorAll(".main-svg")) drawing.setAttribute("aria-hidden", "true");
    for (const button of this.plot.querySelectorAll(".modebar-btn[data-attr]")) button.tabIndex = -1;
    if (fresh) {
      adoptStyles(this.root);
      this.plot.on("plotly_afterplot", () => this.#viewed());
      this.plot.on("plotly_relayouting", () => this.onView());
    }
    this.#viewed();
  }

  #figure() {
    const { figure, dark } = this.data;
    const copy = recolored(figure, { ...(this.look.dark ? dark : {}), [this.data.ground]: this.look.ground });
    copy.data.forEach((trace, place) => {
      if (this.hidden.has(entryOf(trace))) trace.visible = false;
      if (this.kind === "cost") return;
      trace.x = this.#places(this.kind)[place];
      const { hover, words, solved } = this.data.basis;
      const [from, to] = this.kind === "seconds" ? [hover, this.data.seconds.hover] : [words, solved];
      trace.hovertemplate = trace.hovertemplate?.replace(from, to);
    });
    this.width = this.plot.clientWidth;
    this.height = this.plot.clientHeight;
    const narrow = this.width < NARROW;
    const { layout } = copy;
    layout.xaxis.type = this.logCost ? "log" : "linear";
    const words = this.kind === "solved" ? this.data.basis.solved : this.data.basis.words;
    const brief = this.kind === "solved" ? `$ ${words}` : `Cost ${words} ($)`;
    layout.xaxis.title.text = narrow ? brief : `Cost ${words} (US dollars)`;
    if (this.kind === "seconds") {
      layout.xaxis.title.text = narrow ? "Seconds a call" : "Mean latency (seconds a call)";
      Object.assign(layout.xaxis, { tickprefix: "", ticksuffix: " s" });
    }
    Object.assign(layout.xaxis, JSON.parse(this.ticks ?? "{}"));
    layout.margin = narrow ? { l: 46, r: 12, t: 12, b: 46 } : layout.margin;
    Object.assign(layout, {
      width: this.width,
      height: this.height,
      showlegend: false,
      uirevision: `${this.data.title} ${this.kind}`,
      dragmode: COARSE.matches ? false : "zoom", // a finger scrolls the page
      modebar: { bgcolor: "rgba(0,0,0,0)", color: layout.font.color, activecolor: layout.hoverlabel.font.color },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { ...layout.font, family: this.look.font },
      hoverlabel: { ...layout.hoverlabel, font: { ...layout.hoverlabel.font, family: this.look.font } },
    });
    return { traces: copy.data, layout };
  }

  #resize() {
    const { clientWidth: width, clientHeight: height } = this.plot;
    if (this.isDrawn && width && (width !== this.width || height !== this.height)) this.#draw();
  }

  #viewed() {
    const { xaxis, yaxis } = this.plot._fullLayout;
    this.reset.classList.toggle("offered", !(xaxis.autorange && yaxis.autorange));
    this.toolbar.update();
    const ticks = costTicks(xaxis, this.kind === "seconds" ? (duration) => `${moneyTick(duration).slice(1)} s` : moneyTick);
    if (JSON.stringify(ticks) !== this.ticks) {
      this.ticks = JSON.stringify(ticks);
      this.plotly.relayout(this.plot, Object.fromEntries(Object.entries(ticks).map(([key, value]) => [`xaxis.${key}`, value])));
      return; // drawing calls this again
    }
    this.onView();
    this.placeNames();
  }

  // Writes names beside the models' points if the ring leaves room.
  placeNames() {
    if (!this.scale()) return; // not drawn yet
    const at = ({ cost, score }, model) => this.#x(cost, score, this.data.seconds?.models[model]);
    const groups = this.data.groups.filter(({ name }) => this.hidden.has(`group:${name}`));
    const hidden = new Set(groups.flatMap(({ models }) => models));
    placeLabels(this.plotly, this.plot, this.data, this.look.font, at, this.ringAt(), hidden);
  }

  #setAxis(log) {
    this.logCost = log;
    setParameter("axis", log ? "" : "linear");
    this.#showAxis();
    this.#drawAxis();
  }

  #drawAxis() {
    const type = this.logCost ? "log" : "linear";
    if (this.isDrawn) this.plotly.relayout(this.plot, { "xaxis.type": type, "xaxis.autorange": true });
  }

  #setKind(kind) {
    this.kind = kind;
    this.logCost = this.canLog && this.logCost;
    setParameter("kind", kind === "cost" ? "" : kind);
    this.#showAxis();
    if (this.isDrawn) this.#draw();
  }

  // Places of the traces' points on an axis; null if some have none.
  #places(kind) {
    const { figure, perSolved: solved, seconds } = this.data;
    return { cost: figure, solved, seconds: seconds?.x ?? null }[kind];
  }

  get canLog() {
    return this.kind === "seconds" ? this.data.seconds.canLog : this.data.canLog;
  }

  // Place of a point on the axis, in dollars or seconds.
  #x(cost, score, latency) {
    if (this.kind === "seconds") return latency;
    return this.data.basis.calls * (this.kind === "solved" ? perSolved(cost, score) : cost);
  }

  #showAxis() {
    for (const button of this.kinds) {
      const { kind } = button.dataset;
      button.setAttribute("aria-pressed", String(this.kind === kind));
      button.disabled = this.#places(kind) === null;
      button.hidden = button.disabled && kind === "seconds"; // hidden if no latency is recorded
      button.title = button.disabled ? "Some point solves nothing, so a solved task has no cost there" : "";
    }
    this.byCost.hidden = this.kind !== "seconds";
    for (const button of this.axes) {
      const log = button.dataset.axis === "log";
      button.setAttribute("aria-pressed", String(log === this.logCost));
      button.disabled = log && !this.canLog;
      button.title = button.disabled ? "What is 0 has no place on a log axis" : "";
    }
    this.toolbar.update();
  }

  toggle(entry) {
    if (!this.hidden.delete(entry)) this.hidden.add(entry);
    if (!this.isDrawn) return;
    const places = this.plot.data.flatMap((trace, place) => (entryOf(trace) === entry ? [place] : []));
    this.plotly.restyle(this.plot, { visible: !this.hidden.has(entry) }, places);
  }

  // Pixel of a (dollars per query, score, seconds) point inside the figure, or null before the first drawing.
  scale() {
    const { xaxis, yaxis } = this.plot._fullLayout ?? {};
    if (!this.isDrawn || !xaxis?.d2p) return null;
    return {
      x: (cost, score, latency) => xaxis._offset + xaxis.d2p(this.#x(cost, score, latency)),
      y: (score) => yaxis._offset + yaxis.d2p(100 * score),
      hasCosts: this.kind === "cost",
      left: xaxis._offset,
      right: xaxis._offset + xaxis._length,
      top: yaxis._offset,
      bottom: yaxis._offset + yaxis._length,
    };
  }
}

// A band is shown and hidden with its curve.
export const entryOf = (trace) => `${trace.meta.role === "band" ? "curve" : trace.meta.role}:${trace.meta.name}`;
