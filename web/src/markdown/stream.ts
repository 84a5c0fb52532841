import type { Token } from "marked";
import { morph } from "../dom/morph";
import { normalise } from "./fences";
import { lex } from "./lex";
import { renderMarkdown, renderTokens } from "./render";
import { repair } from "./repair";

/**
 * Markdown that grows in an element. Blocks that are complete are rendered once and never touched
 * again; only the last one follows the text.
 */
export class MarkdownStream {
  private text = "";
  private stable = 0; // characters that the finished blocks have
  private readonly tail: HTMLElement;

  constructor(private readonly root: HTMLElement) {
    this.tail = document.createElement("div");
    this.tail.className = "tail";
    root.replaceChildren(this.tail);
  }

  /** Shows this text, which begins with the one before. */
  update(written: string): void {
    const text = normalise(written);
    if (text === this.text) return;
    this.text = text;
    const tokens = lex(this.text.slice(this.stable));
    const last = lastBlock(tokens);
    if (last > 0) {
      const finished = tokens.slice(0, last);
      this.tail.before(renderTokens(finished));
      this.stable += finished.reduce((sum, token) => sum + token.raw.length, 0);
    }
    const open = repair(this.text.slice(this.stable));
    morph(this.tail, renderTokens(lex(open)));
  }

  /** The text is whole. Links that are defined at its end work now. */
  finish(text: string): void {
    const fragment = renderMarkdown(text);
    this.tail.replaceWith(...this.tail.childNodes);
    morph(this.root, fragment);
  }
}

// Where the last block begins that may still grow: everything before it is complete.
function lastBlock(tokens: Token[]): number {
  let last = tokens.length - 1;
  while (last >= 0 && (tokens[last]?.type === "space" || tokens[last]?.type === "def")) last -= 1;
  return last;
}
