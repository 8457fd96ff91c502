// The box for a prompt. It keeps its own text: Python gets the text when the reader pauses and never writes to it.

const PAUSE = 300; // milliseconds without a key

// Number of characters as Python counts them: a surrogate pair is one.
function lengthOf(text) {
  let length = 0;
  for (const _ of text) length += 1;
  return length;
}

class Box {
  constructor(root, { text, limit }) {
    this.examples = root.querySelector(".examples");
    this.area = root.querySelector("textarea");
    this.counter = root.querySelector(".count");
    this.spoken = root.querySelector(".spoken");
    this.limit = limit;
    this.area.value = text;
    this.sent = text;
    this.area.addEventListener("input", () => this.#typed());
    this.area.addEventListener("blur", () => this.#send());
    this.area.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.#send();
    });
    this.#count();
  }

  get attached() {
    return this.area.isConnected;
  }

  // Buttons that type an example, and the text before them.
  offer(examples) {
    const content = JSON.stringify(examples);
    if (content === this.offered) return;
    this.offered = content;
    const [label] = this.examples.children;
    this.examples.replaceChildren(label, ...examples.map(([name, example]) => this.#button(name, example)));
    this.examples.hidden = !examples.length;
  }

  #button(name, example) {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: name });
    button.addEventListener("click", () => {
      this.area.value = example;
      this.#count();
      this.#send();
    });
    return button;
  }

  #typed() {
    this.#count();
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.#send(), PAUSE);
  }

  #count() {
    this.length = lengthOf(this.area.value);
    const [used, most] = [this.length, this.limit].map((number) => number.toLocaleString("en-US"));
    const over = this.length > this.limit;
    this.counter.textContent = `${used} of ${most} characters${over ? ": too long, nothing is sent" : ""}`;
    this.counter.classList.toggle("over", over);
    this.area.setAttribute("aria-invalid", String(over));
    if (over !== this.over) this.spoken.textContent = over ? this.counter.textContent : "";
    this.over = over;
  }

  #send() {
    clearTimeout(this.waiting);
    const text = this.area.value;
    if (text === this.sent) return;
    this.sent = text;
    this.tell("typed", { text: this.over ? "" : text, length: this.length });
  }
}

const boxes = new WeakMap();

export default function ({ data, parentElement, setStateValue }) {
  let box = boxes.get(parentElement);
  if (!box?.attached) {
    box = new Box(parentElement, data);
    boxes.set(parentElement, box);
  }
  box.tell = setStateValue;
  box.offer(data.examples);
}
