// Brings λ to the chart in a message of its own, so that the chart's data are sent once and not at every λ.
export default function ({ data }) {
  const messages = (globalThis.carrotLam ??= new Map());
  messages.set(data.chart, data);
  globalThis.dispatchEvent(new CustomEvent("carrot-lam", { detail: data.chart }));
}
