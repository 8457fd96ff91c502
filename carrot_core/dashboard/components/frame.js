// The frame of every page: a button that copies the address of the view, the meaning of a term beside its link, menus
// that the Tab key reaches from their button, tables of links that are one stop of it, and a new run when the theme
// changes.

const SHOWN = ["bench", "router", "along"]; // boxes whose choice the address omits if it is the default
const TERM = "a[href*='method?term=']";
const STOPS = "a[href], button:not(:disabled), input:not(:disabled), textarea, select, summary, [tabindex='0']";
const MENU = "[data-testid=stPopoverBody]";
const OPENER = "[data-testid=stPopoverButton][aria-expanded=true]";
const BOARD = ".st-key-folding-leaderboard table";
const GAP = 6; // pixels between a link and the card

const stopsIn = (box) => [...box.querySelectorAll(STOPS)].filter((one) => one.tabIndex >= 0 && one.checkVisibility());

class Frame {
  constructor(root) {
    this.share = root.querySelector(".share");
    this.spoken = root.querySelector(".spoken");
    this.card = root.querySelector(".card");
    this.share.addEventListener("click", () => this.#copy());
    this.card.addEventListener("toggle", ({ newState }) => newState === "closed" && this.from?.focus());
    this.listeners = { click: (event) => this.#explain(event), keydown: (event) => (this.#tab(event), this.#move(event)) };
    for (const [type, listener] of Object.entries(this.listeners)) document.addEventListener(type, listener, true);
  }

  get attached() {
    return this.share.isConnected;
  }

  leave() {
    if (this.attached) return; // an earlier call of a component that is still on the page
    for (const [type, listener] of Object.entries(this.listeners)) document.removeEventListener(type, listener, true);
  }

  // The address with every visible choice, even a default one, since another machine may have other defaults.
  get #address() {
    const address = new URL(location.href);
    for (const name of SHOWN) {
      const choice = document.querySelector(`.st-key-${name} input`)?.value;
      if (choice) address.searchParams.set(name, choice);
    }
    return address.href;
  }

  async #copy() {
    const address = this.#address;
    try {
      await navigator.clipboard.writeText(address);
      this.spoken.textContent = "Address copied";
      setTimeout(() => (this.spoken.textContent = ""), 3000);
    } catch {
      // A browser refuses on a page from another machine without TLS: the reader then copies by hand.
      this.#open(this.share, "This address opens what is seen:", address, "");
      getSelection().selectAllChildren(this.card.querySelector("p"));
    }
  }

  #explain(event) {
    const link = event.target.closest?.(TERM);
    if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const term = this.terms[new URL(link.href).searchParams.get("term")];
    if (!term) return;
    event.preventDefault();
    event.stopPropagation();
    this.#open(link, term.name, term.text, link.href);
  }

  #open(from, name, text, href) {
    const { card } = this;
    card.hidePopover();
    this.from = from;
    card.querySelector("strong").textContent = name;
    card.querySelector("p").textContent = text;
    const more = card.querySelector("a");
    more.hidden = !href;
    more.href = href;
    card.showPopover();
    const place = from.getBoundingClientRect();
    const below = place.bottom + GAP;
    const fits = below + card.offsetHeight < innerHeight;
    card.style.top = `${fits ? below : Math.max(GAP, place.top - GAP - card.offsetHeight)}px`;
    card.style.left = `${Math.max(GAP, Math.min(place.left, innerWidth - card.offsetWidth - 3 * GAP))}px`;
    card.focus();
  }

  // Streamlit draws a menu at the end of the page: Tab goes from its button into it, and on to the element after the button.
  #tab(event) {
    if (event.key !== "Tab") return;
    const [menu, opener] = [document.querySelector(MENU), document.querySelector(OPENER)];
    if (!menu || !opener) return;
    const stops = stopsIn(menu);
    const at = stops.indexOf(event.target);
    if (event.target === opener && !event.shiftKey && stops.length) {
      event.preventDefault();
      stops[0].focus();
    } else if (at === 0 && event.shiftKey) {
      event.preventDefault();
      opener.focus();
    } else if (at >= 0 && at === stops.length - 1 && !event.shiftKey) {
      opener.focus(); // so that Tab goes on to the next element
    }
  }

  // A table of links is one stop of the Tab key; arrow keys go from link to link.
  #move(event) {
    const table = event.target.closest?.(`${BOARD} a`)?.closest("table");
    if (!table) return;
    const links = [...table.querySelectorAll("a")];
    const at = links.indexOf(event.target);
    if (event.key === "Tab") links.at(event.shiftKey ? 0 : -1).focus({ preventScroll: true }); // and on from there
    const nearest = (step) => {
      const [cell, columns] = [event.target.closest("td"), table.rows[0].cells.length];
      const down = (link) => step * (link.closest("tr").rowIndex - cell.parentElement.rowIndex);
      const distance = (link) => columns * down(link) + Math.abs(link.closest("td").cellIndex - cell.cellIndex);
      return links.filter((link) => down(link) > 0).sort((a, b) => distance(a) - distance(b))[0];
    };
    const next = {
      ArrowLeft: () => links[at - 1], ArrowRight: () => links[at + 1], Home: () => links[0], End: () => links.at(-1),
      ArrowUp: () => nearest(-1), ArrowDown: () => nearest(1),
    }[event.key]?.();
    if (!next) return;
    event.preventDefault();
    next.focus();
  }
}

const frames = new WeakMap();

export default function ({ data, parentElement, setStateValue }) {
  let frame = frames.get(parentElement);
  if (!frame?.attached) {
    frame = new Frame(parentElement);
    frames.set(parentElement, frame);
  }
  frame.terms = data.terms;
  // Streamlit draws menus beside its app: with the same scheme, so that colours of both themes are the theme's there too.
  document.body.style.colorScheme = getComputedStyle(document.querySelector(".stApp")).colorScheme;
  // Charts that Python draws have the colours of the last run's theme: a new theme needs a new run.
  const ground = getComputedStyle(frame.card).backgroundColor;
  if (frame.ground && frame.ground !== ground) setStateValue("ground", ground);
  frame.ground = ground;
  return () => frame.leave();
}
