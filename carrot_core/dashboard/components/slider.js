// The slider under a chart is the chart's axis of cost: cheap on the left, accurate on the right, the knob below the ring.
//
// It stops at breakpoints, in order of λ: the first is the most accurate. Keys step through them in that order.
// Routers err, so cost may rise with λ: each breakpoint has the place of its cost, and a click or a drag takes the
// nearest in x; among several within half a pixel, the one closest to the knob in order of λ.
import { lamTicks } from "./ticks.js";

const STEPS = 20; // presses of a page key from end to end
const NEAR = 0.5; // pixels
const KNOB = 22; // pixels around the knob's middle in which a press does not move it
const IDLE = 400; // milliseconds without a key after which λ counts as released

export class Slider {
  constructor(root, { onMove, onRelease, onCancel }) {
    this.box = root.querySelector(".slider");
    this.ticks = root.querySelector(".lams");
    this.onMove = onMove;
    this.onRelease = onRelease;
    this.index = 0;
    this.dragging = null;
    const { box } = this;
    box.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || !this.xs) return;
      box.setPointerCapture(event.pointerId);
      const { left } = box.getBoundingClientRect();
      const off = this.xs[this.index] + left - event.clientX;
      this.dragging = { left: Math.abs(off) <= KNOB ? left - off : left };
      if (Math.abs(off) > KNOB) this.#drag(event);
    });
    box.addEventListener("pointermove", (event) => this.dragging && this.#drag(event));
    const end = (then) => () => {
      if (!this.dragging) return;
      this.dragging = null;
      then();
    };
    box.addEventListener("pointerup", end(onRelease));
    box.addEventListener("pointercancel", end(onCancel));
    box.addEventListener("keydown", (event) => this.#key(event));
    box.addEventListener("blur", () => this.#settle());
  }

  // Sets the pixels of every breakpoint and of the axis's ends, and the function from λ to breakpoint, for a new view.
  project(xs, { left, right }, indexOf) {
    [this.xs, this.left, this.right] = [xs, left, right];
    this.box.style.setProperty("--left", `${left}px`);
    this.box.style.setProperty("--length", `${right - left}px`);
    const inside = (x) => x >= left - 1 && x <= right + 1;
    const ticks = lamTicks((lam) => xs[indexOf(lam)], inside);
    this.ticks.replaceChildren(
      ...ticks.map(({ x, text }) => {
        const tick = Object.assign(document.createElement("span"), { textContent: text });
        tick.style.left = `${x}px`;
        return tick;
      }),
    );
  }

  #drag(event) {
    this.onMove(this.#nearest(event.clientX - this.dragging.left));
  }

  #nearest(x) {
    let least = Infinity;
    for (const place of this.xs) least = Math.min(least, Math.abs(place - x));
    let best = -1;
    for (let i = 0; i < this.xs.length; i += 1) {
      if (Math.abs(this.xs[i] - x) > least + NEAR) continue;
      if (best < 0 || Math.abs(i - this.index) < Math.abs(best - this.index)) best = i;
    }
    return best;
  }

  // The first breakpoint, in order of λ, at or beyond the next of the equal steps along the axis.
  #page(way) {
    const { xs, index } = this;
    const [low, high] = [xs[xs.length - 1], xs[0]];
    const step = (high - low) / STEPS || 1;
    const places = (xs[index] - low) / step;
    const goal = low + step * (way > 0 ? Math.floor(places + 0.01) + 1 : Math.ceil(places - 0.01) - 1);
    let at = index;
    while (at - way >= 0 && at - way < xs.length && way * (goal - xs[at]) > 0.01 * Math.abs(step)) at -= way;
    return at;
  }

  #key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || !this.xs) return;
    const last = this.xs.length - 1;
    const target = {
      ArrowRight: () => this.index - 1,
      ArrowUp: () => this.index - 1,
      ArrowLeft: () => this.index + 1,
      ArrowDown: () => this.index + 1,
      PageUp: () => this.#page(1),
      PageDown: () => this.#page(-1),
      Home: () => last,
      End: () => 0,
    }[event.key];
    if (target === undefined) return;
    event.preventDefault();
    this.onMove(Math.min(last, Math.max(0, target())));
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.#settle(), IDLE);
  }

  #settle() {
    if (this.waiting === undefined) return;
    clearTimeout(this.waiting);
    this.waiting = undefined;
    this.onRelease();
  }

  show(index, count, text) {
    this.index = index;
    this.box.setAttribute("aria-valuemax", String(count - 1));
    this.box.setAttribute("aria-valuenow", String(count - 1 - index)); // counted from the cheapest
    this.box.setAttribute("aria-valuetext", text);
    if (!this.xs) return;
    this.box.style.setProperty("--at", `${Math.min(this.right, Math.max(this.left, this.xs[index]))}px`);
  }
}
