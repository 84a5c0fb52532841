import { restoreTabs } from "./fences";
import { lex } from "./lex";

export interface CodeBlock {
  language: string;
  code: string;
}

/** The blocks of code in Markdown, in order. One that is not closed counts as well. */
export function codeBlocks(text: string): CodeBlock[] {
  return lex(text).flatMap((token) =>
    token.type === "code"
      ? [{ language: languageOf(token.lang), code: restoreTabs(token.text ?? "") }]
      : [],
  );
}

/** The name of a language in what stands behind a fence. */
export function languageOf(info: string | undefined): string {
  return (info ?? "").trim().split(/[\s{,]/)[0] ?? "";
}
