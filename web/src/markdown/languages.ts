const runnable = new Set(["html", "svg", "javascript", "js", "xhtml"]);

/** Can the canvas run it? */
export function runs(language: string): boolean {
  return runnable.has(language.toLowerCase());
}

/** Can the canvas show it as something other than its source? */
export function previews(language: string): boolean {
  return runs(language) || ["markdown", "md"].includes(language.toLowerCase());
}

const endings: Record<string, string> = {
  bash: "sh", c: "c", cpp: "cpp", "c++": "cpp", csharp: "cs", css: "css", go: "go", haskell: "hs", html: "html",
  java: "java", javascript: "js", js: "js", json: "json", julia: "jl", kotlin: "kt", latex: "tex", lua: "lua",
  markdown: "md", md: "md", perl: "pl", php: "php", python: "py", py: "py", r: "R", ruby: "rb", rust: "rs",
  scala: "scala", sh: "sh", shell: "sh", sql: "sql", svg: "svg", swift: "swift", toml: "toml", ts: "ts",
  typescript: "ts", xml: "xml", yaml: "yaml", yml: "yml",
};

/** The ending of a file in this language. */
export function endingOf(language: string): string {
  return endings[language.toLowerCase()] ?? "txt";
}

/** Is the code worth a place of its own beside the chat? */
export function isDocument(code: string, language: string): boolean {
  if (language.toLowerCase() === "html") return /<(?:!doctype|html|script|canvas|body)\b/i.test(code);
  return language.toLowerCase() === "svg" && /<svg\b/i.test(code);
}
