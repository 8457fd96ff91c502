// The ring on the active curve: shows the operating point, and can be dragged along the curve.

export class Handle {
  constructor(root, { onMove, onRelease, onCancel }) {
    this.overlay = root.querySelector(".overlay");
    this.group = root.querySelector(".handle");
    this.drops = Object.fromEntries([...root.querySelectorAll(".drop")].map((line) => [line.dataset.to, line]));
    this.promised = root.querySelector(".promised");
    this.pixels = null;
    this.dragging = null;
    const { group } = this;
    group.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      event.preventDefault();
      group.setPointerCapture(event.pointerId);
      group.classList.add("held");
      const { left, top } = this.overlay.getBoundingClientRect();
      // The ring keeps its distance from the pointer, so that it does not jump to it.
      this.dragging = { dx: this.at.x + left - event.clientX, dy: this.at.y + top - event.clientY, left, top };
    });
    group.addEventListener("pointermove", (event) => {
      if (!this.dragging) return;
      const { dx, dy, left, top } = this.dragging;
      onMove(this.#nearest(event.clientX + dx - left, event.clientY + dy - top));
    });
    const end = (then) => () => {
      if (!this.dragging) return;
      this.dragging = null;
      group.classList.remove("held");
      then();
    };
    group.addEventListener("pointerup", end(onRelease));
    group.addEventListener("pointercancel", end(onCancel));
  }

  // Pixels of every breakpoint, after each zoom, resize or new scene.
  project(curve, scale) {
    this.scale = scale;
    const x = (cost, point) => scale.x(cost, curve.score[point], curve.latency?.[point]);
    this.pixels = { x: Float32Array.from(curve.cost, x), y: Float32Array.from(curve.score, scale.y) };
  }

  // Pixel of a breakpoint.
  place(index) {
    return { x: this.pixels.x[index], y: this.pixels.y[index] };
  }

  #nearest(x, y) {
    const { x: xs, y: ys } = this.pixels;
    let best = 0;
    let least = Infinity;
    for (let i = 0; i < xs.length; i += 1) {
      const distance = (xs[i] - x) ** 2 + (ys[i] - y) ** 2;
      if (distance < least) [best, least] = [i, distance];
    }
    return best;
  }

  // The ring at a breakpoint, and a whisker to the score and the cost that it promises, if known.
  show(index, promise) {
    if (!this.pixels) return;
    this.at = this.place(index);
    const { x, y } = this.at;
    const { left, right, top, bottom } = this.scale;
    const visible = x >= left - 1 && x <= right + 1 && y >= top - 1 && y <= bottom + 1;
    this.overlay.classList.toggle("away", !visible);
    this.group.setAttribute("transform", `translate(${x} ${y})`);
    this.#line(this.drops.x, x, y, x, this.overlay.clientHeight); // on to the slider's knob
    this.#line(this.drops.y, left, y, x, y);
    const drawn = promise && this.scale.hasCosts;
    const [to, down] = drawn ? [this.scale.x(promise.cost), this.scale.y(promise.score)] : [x, y];
    this.promised.setAttribute("d", drawn ? `M${x} ${y}H${to}m0-5v10M${x} ${y}V${down}m-5 0h10` : "");
  }

  #line(line, x1, y1, x2, y2) {
    for (const [name, value] of Object.entries({ x1, y1, x2, y2 })) line.setAttribute(name, value);
  }
}
