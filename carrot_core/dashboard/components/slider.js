// The λ slider: pointer, touch and keyboard.

const SMALL = 0.001;
const LARGE = 0.05;
const DIGITS = 4; // of a λ under the pointer: finer than a pixel, short enough for a link
const IDLE = 400; // milliseconds without a key after which λ counts as released

export class Slider {
  constructor(root, { onMove, onRelease }) {
    this.input = root.querySelector("#lam");
    this.onMove = onMove;
    this.onRelease = onRelease;
    this.input.addEventListener("input", () => onMove(Number(Number(this.input.value).toFixed(DIGITS))));
    // A slider moved back to where it was reports no change, but it was released all the same.
    for (const end of ["change", "pointerup", "pointercancel"]) this.input.addEventListener(end, () => onRelease());
    this.input.addEventListener("keydown", (event) => this.#key(event));
    this.input.addEventListener("blur", () => this.#settle());
  }

  #key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const step = event.shiftKey ? LARGE : SMALL;
    const now = Number(this.input.value);
    const target = {
      ArrowRight: now + step,
      ArrowUp: now + step,
      ArrowLeft: now - step,
      ArrowDown: now - step,
      PageUp: now + LARGE,
      PageDown: now - LARGE,
      Home: 0,
      End: 1,
    }[event.key];
    if (target === undefined) return;
    event.preventDefault();
    const lam = Math.min(1, Math.max(0, Number(target.toFixed(6))));
    this.onMove(lam);
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.#settle(), IDLE);
  }

  #settle() {
    if (this.waiting === undefined) return;
    clearTimeout(this.waiting);
    this.waiting = undefined;
    this.onRelease();
  }

  show(lam, text) {
    this.input.value = lam;
    this.input.style.setProperty("--filled", `${100 * lam}%`);
    this.input.setAttribute("aria-valuenow", String(lam));
    this.input.setAttribute("aria-valuetext", text);
  }
}
