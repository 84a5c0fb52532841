import { marked, type Token } from "marked";
import { languageOf } from "./blocks";
import { normalise, openFence, restoreTabs } from "./fences";
import { blockMath, blockMathStart, inlineMath, mathStart } from "./math_syntax";

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
      `<pre data-code="${escape(languageOf(info))}">${escape(restoreTabs(code))}</pre>`,
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

/** The tokens of Markdown, one for each block. Their raw parts are those of the normalised text. */
export function lex(text: string): Token[] {
  const normal = normalise(text);
  const open = openFence(normal);
  // The reader takes an open fence for one only when a line ends behind it.
  return marked.lexer(open === null ? normal : `${normal}\n${open}`);
}

/** HTML that is not yet harmless. */
export function toHtml(tokens: Token[]): string {
  return marked.parser(tokens);
}
