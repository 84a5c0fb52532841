import type { Token } from "marked";

/** How long a formula may be: KaTeX takes time for more. */
const mostCharacters = 5000;

type MathToken = Token & Record<string, unknown> & { text: string; display: boolean };

function mathToken(type: string, raw: string, text: string, display: boolean): MathToken {
  return { type, raw, text, display };
}

/** $$...$$ or \[...\] at the start of the text. */
export function blockMath(text: string): MathToken | undefined {
  const match =
    /^ {0,3}\$\$([\s\S]+?)\$\$[ \t]*(?:\n|$)/.exec(text) ??
    /^ {0,3}\\\[([\s\S]+?)\\\][ \t]*(?:\n|$)/.exec(text) ??
    /^ {0,3}(\\begin\{(equation|align|gather|cases|[pbvB]?matrix)\*?\}[\s\S]+?\\end\{\2\*?\})[ \t]*(?:\n|$)/.exec(text);
  if (match === null) return undefined;
  const [raw = "", tex = ""] = match;
  if (tex.length > mostCharacters) return undefined;
  return mathToken("blockMath", raw, tex.trim(), true);
}

/** $...$, $$...$$, \(...\) or \[...\] at the start of the text; amounts of dollars are none. */
export function inlineMath(text: string): MathToken | undefined {
  const display = /^\$\$([^$]+?)\$\$/.exec(text) ?? /^\\\[([\s\S]+?)\\\]/.exec(text);
  const match =
    display ?? /^\\\(([\s\S]+?)\\\)/.exec(text) ?? /^\$((?:\\[\s\S]|[^$\\\n])+?)\$(?![\d\w])/.exec(text);
  if (match === null) return undefined;
  const [raw = "", tex = ""] = match;
  if (tex.length > mostCharacters) return undefined;
  if (raw.startsWith("$") && display === null && (/^\s|\s$/.test(tex) || tex.includes("`"))) {
    return undefined;
  }
  return mathToken("inlineMath", raw, tex.trim(), display !== null);
}

/** Where a formula may begin. */
export function mathStart(text: string): number | undefined {
  const at = text.search(/\$|\\[([]/);
  return at < 0 ? undefined : at;
}

export function blockMathStart(text: string): number | undefined {
  const at = text.search(/(?:^|\n) {0,3}(?:\$\$|\\\[|\\begin\{)/);
  return at < 0 ? undefined : at;
}
