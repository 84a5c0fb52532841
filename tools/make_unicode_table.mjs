// Writes src/text/unicode_table.inc: one entry a run of code points of equal class, as
// (first code point) * 8 + class, in ascending order. Usage: node tools/make_unicode_table.mjs
import { writeFileSync } from "node:fs";

const classes = [
  [1, /^[\p{Lu}\p{Lt}]$/u],
  [2, /^\p{Ll}$/u],
  [3, /^[\p{Lm}\p{Lo}]$/u],
  [4, /^\p{M}$/u],
  [5, /^\p{N}$/u],
  [6, /^\p{White_Space}$/u],
];
const classOf = (c) => {
  const text = String.fromCodePoint(c);
  if (text === "\r" || text === "\n") return 7;
  for (const [value, pattern] of classes) if (pattern.test(text)) return value;
  return 0;
};

const entries = [];
let last = -1;
for (let c = 0; c < 0x110000; c++) {
  const value = c >= 0xd800 && c < 0xe000 ? 0 : classOf(c);
  if (value !== last) entries.push(c * 8 + value);
  last = value;
}
let text = `// Unicode ${process.versions.unicode}; made by tools/make_unicode_table.mjs.\n`;
let line = "";
for (const entry of entries) {
  if (line.length + String(entry).length + 2 > 100) {
    text += line.trimEnd() + "\n";
    line = "";
  }
  line += `${entry}, `;
}
writeFileSync(new URL("../src/text/unicode_table.inc", import.meta.url), text + line.trimEnd() + "\n");
console.log(`${entries.length} runs, Unicode ${process.versions.unicode}`);
