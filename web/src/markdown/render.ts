import { marked, type Token } from "marked";
import { codeBlock } from "./code_block";
import { normalise, tabMark } from "./fences";
import { blockMath, blockMathStart, inlineMath, mathStart, renderMath } from "./math";
import { sanitize } from "./sanitize";

function escape(text: string): string {
  return text.replace(/[&<>"]/g, (char) => `&#${char.charCodeAt(0)};`);
}

function mathHtml(token: Token & Record<string, unknown>): string {
  const display = token["display"] === true;
  return `<span data-math="${display ? "display" : "inline"}">${escape(token.text ?? "")}</span>`;
}

marked.use({
  gfm: true,
  breaks: false,
  mangle: false,
  headerIds: false,
  extensions: [
    {
      name: "blockMath",
      level: "block",
      start: blockMathStart,
      tokenizer: (text) => blockMath(text),
      renderer: (token) => `<p>${mathHtml(token)}</p>`,
    },
    {
      name: "inlineMath",
      level: "inline",
      start: mathStart,
      tokenizer: (text) => inlineMath(text),
      renderer: mathHtml,
    },
  ],
  renderer: {
    code: (code: string, info: string | undefined) =>
      `<pre data-code="${escape((info ?? "").trim().split(/[\s{,]/)[0] ?? "")}">${escape(code.split(tabMark).join("\t"))}</pre>`,
    // Nothing is loaded from elsewhere: a picture of the web is a link to it.
    image: (href: string, _title: string | null, text: string) =>
      href.startsWith("data:image/")
        ? `<img src="${escape(href)}" alt="${escape(text)}">`
        : `<a href="${escape(href)}">${escape(text === "" ? href : text)}</a>`,
    checkbox: (checked: boolean) => `<span class="task" data-checked="${checked}"></span>`,
    table: (head: string, body: string) =>
      `<div data-table><table><thead>${head}</thead><tbody>${body}</tbody></table></div>`,
  },
});

/** The tokens of Markdown, one for each block. */
export function lex(text: string): Token[] {
  return marked.lexer(text);
}

/** Blocks as nodes: harmless HTML, code in colours, formulas. */
export function renderTokens(tokens: Token[]): DocumentFragment {
  const fragment = sanitize(marked.parser(tokens));
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
  return renderTokens(lex(normalise(text)));
}
