import type { Token } from "marked";
import { codeBlock } from "./code_block";
import { lex, toHtml } from "./lex";
import { renderMath } from "./math";
import { sanitize } from "./sanitize";

/** Blocks as nodes: harmless HTML, code in colours, formulas. */
export function renderTokens(tokens: Token[]): DocumentFragment {
  const fragment = sanitize(toHtml(tokens));
  for (const task of fragment.querySelectorAll<HTMLElement>("[data-checked]")) task.className = "task";
  for (const box of fragment.querySelectorAll<HTMLElement>("div[data-table]")) {
    box.className = "table-box";
    box.tabIndex = 0;
  }
  for (const pre of fragment.querySelectorAll<HTMLElement>("pre[data-code]")) {
    pre.replaceWith(codeBlock(pre.textContent ?? "", pre.dataset["code"] ?? ""));
  }
  renderMath(fragment);
  return fragment;
}

export function renderMarkdown(text: string): DocumentFragment {
  return renderTokens(lex(text));
}
