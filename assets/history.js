// One entry of the browser's history for each step of a reader. Streamlit writes the address in parts: a widget's choice
// into the entry that there is, and whatever its script adds into one more each. Here the first part after a step is a
// new entry, and what follows is part of it.
{
  const { pushState, replaceState } = history;
  const START = 500; // milliseconds, at most, from a widget's part to the script that it starts
  let [step, before] = [false, false]; // whether a reader did something since the last part, and while no script ran
  let written = -Infinity;
  const running = () => document.querySelector("[data-testid=stApp][data-test-script-state=running]");
  const note = ({ isTrusted, type, target }) => {
    step ||= isTrusted;
    const opens = type === "click" && target.closest?.("a[href]"); // another page, at once, though a script runs
    before ||= isTrusted && (opens || (!running() && performance.now() - written > START));
  };
  const write = (isStep, parts) => {
    const address = new URL(parts[2] ?? "", location);
    const isNew = address.pathname === location.pathname ? isStep : step; // a page opens though a script wrote
    if (address.href !== location.href) (isNew ? pushState : replaceState).apply(history, parts);
    [step, before, written] = [false, false, performance.now()];
  };
  for (const kind of ["pointerdown", "pointerup", "keydown", "click"]) addEventListener(kind, note, true);
  addEventListener("popstate", () => (step = before = false), true);
  history.replaceState = (...parts) => write(step, parts); // a widget's
  history.pushState = (...parts) => write(before, parts); // the script's, which may answer an earlier step
}
