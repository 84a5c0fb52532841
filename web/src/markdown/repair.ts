import { openFence } from "./fences";

/**
 * What to show of Markdown that is still being written: constructs that the next words will close are
 * closed, those that would look like something else until then are held back. So nothing jumps from
 * one form to another while it grows.
 */
export function repair(text: string): string {
  if (openFence(text) !== null) {
    // A closing fence that is not whole yet would be shown as a line of code.
    return text.replace(/\n[ \t]*(`{1,2}|~{1,2})$/, "");
  }
  const cut = holdBack(text);
  const start = cut.lastIndexOf("\n\n") + 1;
  return cut.slice(0, start) + closeInline(holdMath(cut.slice(start)));
}

// The last line may become a list, a heading, a rule, a fence or a table.
function holdBack(text: string): string {
  const start = text.lastIndexOf("\n") + 1;
  const line = text.slice(start);
  if (/^\s*(?:[-*+=#>`~_]+|\d+[.)]?)\s*$/.test(line)) return text.slice(0, start);
  if (/^\s*\|/.test(line)) {
    const before = text.slice(0, start).split("\n");
    const rows = before.reverse().findIndex((row, i) => i > 0 && !/^\s*\|/.test(row));
    const complete = (rows < 0 ? before.length : rows) - 1;
    if (complete < 2) return text.slice(0, text.length - line.length - lengthOfRows(before, complete));
    return text.slice(0, start);
  }
  return text;
}

function lengthOfRows(reversed: string[], rows: number): number {
  let length = 0;
  for (let i = 1; i <= rows; i += 1) length += (reversed[i]?.length ?? 0) + 1;
  return length;
}

// A formula appears when it is whole.
function holdMath(text: string): string {
  const display = (text.match(/\$\$/g) ?? []).length;
  if (display % 2 === 1) return text.slice(0, text.lastIndexOf("$$"));
  for (const [open, close] of [["\\[", "\\]"], ["\\(", "\\)"]] as const) {
    const at = text.lastIndexOf(open);
    if (at >= 0 && !text.includes(close, at)) return text.slice(0, at);
  }
  return text;
}

function closeInline(text: string): string {
  const code = unclosedCode(text);
  if (code !== null) return text.endsWith(code) ? text.slice(0, -code.length) : text + code;
  const shown = text
    .replace(/!?\[([^\]\n]*)\]\([^)\s]*$/, "$1")
    .replace(/(!?)\[([^\]\n]*)$/, (whole, _, label: string) => (label.length < 80 ? label : whole));
  const plain = shown.replace(/(`+)[\s\S]*?\1/g, "").replace(/\\[*_~]/g, "");
  let closing = "";
  for (const mark of ["**", "~~"]) {
    const count = plain.split(mark).length - 1;
    if (count % 2 === 0) continue;
    if (shown.endsWith(mark)) return shown.slice(0, -mark.length);
    closing = mark + closing;
  }
  const single = plain.replace(/\*\*/g, "").match(/(?<![\w*\s])\*(?!\s)|(?<=^|\s)\*(?=\S)|\*$/g) ?? [];
  if (single.length % 2 === 1) {
    if (/(^|[^*])\*$/.test(shown)) return shown.slice(0, -1).trimEnd() + closing;
    closing = "*" + closing;
  }
  return closing === "" ? shown : shown.trimEnd() + closing;
}

// The backticks of a code span that the text leaves open, or null.
function unclosedCode(text: string): string | null {
  const runs = text.match(/`+/g) ?? [];
  let open: string | null = null;
  for (const run of runs) {
    if (open === null) open = run;
    else if (run === open) open = null;
  }
  return open;
}
