/** Calls `line` for every line of the text, saying whether it is code in a fence; returns the open fence. */
export function walkFences(text: string, line: (line: string, inCode: boolean) => void): string | null {
  let open: string | null = null;
  for (const each of text.split("\n")) {
    // Behind the marks of lists and quotes, a fence is one too.
    const fence = /^(?:[ \t]|[-*+>][ \t]|\d+[.)][ \t]|>)*(`{3,}|~{3,})(.*)$/.exec(each);
    const marks = fence?.[1] ?? "";
    const rest = fence?.[2] ?? "";
    let inCode = open !== null;
    if (open === null) {
      if (marks !== "" && !(marks.startsWith("`") && rest.includes("`"))) open = marks;
    } else if (marks.startsWith(open) && marks[0] === open[0] && rest.trim() === "") {
      open = null;
      inCode = false;
    }
    line(each, inCode);
  }
  return open;
}

/** The fence of a block of code that the text leaves open, or null. */
export function openFence(text: string): string | null {
  return walkFences(text, () => undefined);
}

/** Stands for a tab in code while Markdown is read, as the reader would make spaces of it. */
const tabMark = "\uE009";

/** Code with its tabs again. */
export function restoreTabs(code: string): string {
  return code.split(tabMark).join("\t");
}

/** The text as the Markdown reader takes it, so that the lengths of its tokens are those of the text. */
export function normalise(text: string): string {
  const lines: string[] = [];
  walkFences(text.replace(/\r\n?/g, "\n"), (line, inCode) => {
    lines.push(inCode ? line.replace(/\t/g, tabMark) : line.replace(/^( *)(\t+)/, (_, spaces: string, tabs: string) => spaces + "    ".repeat(tabs.length)));
  });
  return lines.join("\n");
}
