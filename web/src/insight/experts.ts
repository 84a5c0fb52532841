import type { TokenDetail } from "../data/types";
import { h } from "../dom/h";
import { texts } from "../text/texts";
import { visible } from "./probability";

/** How often each expert of each layer worked: shares[layer][expert], in sum 1 a layer. */
export function expertShares(experts: readonly (readonly number[])[]): number[][] {
  const layers = Math.max(0, ...experts.map((token) => token.length));
  const most = Math.max(-1, ...experts.flat());
  const counts = Array.from({ length: layers }, () => new Array<number>(most + 1).fill(0));
  for (const token of experts) {
    token.forEach((expert, layer) => {
      const row = counts[layer];
      if (row !== undefined && expert >= 0) row[expert] = (row[expert] ?? 0) + 1;
    });
  }
  return counts.map((row) => {
    const sum = row.reduce((total, value) => total + value, 0);
    return row.map((value) => (sum === 0 ? 0 : value / sum));
  });
}

const cell = 18;

/** A map of the experts: layers downwards, experts to the right, dark where many tokens went. */
export function expertMap(experts: readonly (readonly number[])[], tokens: readonly TokenDetail[]): HTMLElement {
  const shares = expertShares(experts);
  const width = shares[0]?.length ?? 0;
  const canvas = h("canvas", { class: "expert-map", width: width * cell * 2, height: shares.length * cell * 2, role: "img", "aria-label": texts.insight.mapLabel(shares.length, width) });
  canvas.style.width = `${width * cell}px`;
  canvas.style.height = `${shares.length * cell}px`;
  const caption = h("p", { class: "insight-note", "aria-live": "polite" }, texts.insight.mapHint);
  const slider = h("input", {
    type: "range",
    min: -1,
    max: experts.length - 1,
    value: -1,
    "aria-label": texts.insight.mapToken,
    oninput: () => {
      const at = slider.valueAsNumber;
      draw(canvas, shares, experts[at]);
      caption.textContent = at < 0 ? texts.insight.mapHint : texts.insight.mapAt(at + 1, visible(tokens[at]?.token ?? ""), (experts[at] ?? []).join(" "));
    },
  });
  requestAnimationFrame(() => draw(canvas, shares, undefined));
  return h("section", { class: "experts" }, h("h3", {}, texts.insight.mapTitle), h("div", { class: "expert-scroll", tabindex: "0" }, canvas), slider, caption);
}

function draw(canvas: HTMLCanvasElement, shares: number[][], token: readonly number[] | undefined): void {
  const context = canvas.getContext("2d");
  if (context === null) return;
  const style = getComputedStyle(canvas);
  const size = cell * 2;
  context.clearRect(0, 0, canvas.width, canvas.height);
  shares.forEach((row, layer) => {
    const most = Math.max(...row, 1e-9);
    row.forEach((share, expert) => {
      context.globalAlpha = 0.06 + 0.94 * (share / most);
      context.fillStyle = style.getPropertyValue("--accent");
      context.fillRect(expert * size + 1, layer * size + 1, size - 2, size - 2);
      if (token?.[layer] !== expert) return;
      context.globalAlpha = 1;
      context.strokeStyle = style.getPropertyValue("--ink");
      context.lineWidth = 4;
      context.strokeRect(expert * size + 4, layer * size + 4, size - 8, size - 8);
    });
  });
}
