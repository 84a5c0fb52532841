import assert from "node:assert/strict";
import { test } from "node:test";
import { codeBlocks } from "../../../web/src/markdown/blocks";
import { normalise, openFence } from "../../../web/src/markdown/fences";
import { lex, toHtml } from "../../../web/src/markdown/lex";
import { inlineMath } from "../../../web/src/markdown/math_syntax";
import { repair } from "../../../web/src/markdown/repair";
import { isInlinePicture, isLink } from "../../../web/src/markdown/sanitize";

test("open constructs are closed, and what may become another is held back", () => {
  const cases: [string, string][] = [
    ["some **bold te", "some **bold te**"],
    ["some **", "some "],
    ["some *it", "some *it*"],
    ["2 * 3 is six", "2 * 3 is six"],
    ["a `code sp", "a `code sp`"],
    ["~~gone", "~~gone~~"],
    ["see [the book](https://exa", "see the book"],
    ["see [the bo", "see the bo"],
    ["text\n-", "text\n"],
    ["text\n##", "text\n"],
    ["text\n1.", "text\n"],
    ["text\n```", "text\n```"],
    ["| a | b", ""],
    ["| a | b |\n| --", ""],
    ["| a | b |\n| - | - |\n| 1", "| a | b |\n| - | - |\n"],
    ["so $$x^2", "so "],
    ["so \\[x^2", "so "],
    ["so \\(x", "so "],
    ["costs $5 and", "costs $5 and"],
    ["**done** and `done`", "**done** and `done`"],
  ];
  for (const [given, wanted] of cases) assert.equal(repair(given), wanted, given);
});

test("code that is still written is not touched", () => {
  assert.equal(repair("```py\na = **b"), "```py\na = **b");
  assert.equal(repair("```py\na\n``"), "```py\na");
});

test("fences know what closes them", () => {
  assert.equal(openFence("```js\ncode"), "```");
  assert.equal(openFence("```js\ncode\n```"), null);
  assert.equal(openFence("````\n```\n"), "````");
  assert.equal(openFence("~~~\n```\n~~~"), null);
  assert.equal(openFence("- item\n  ```js\n  code"), "```");
  assert.equal(openFence("`not ``` a fence`"), null);
});

test("an open fence is code, however it ends", () => {
  for (const end of ["", "\n", "\n<style>x", "\n<script>"]) {
    const [token] = lex(`\`\`\`html\n<!doctype html>${end}`);
    assert.equal(token?.type, "code", JSON.stringify(end));
  }
});

test("tokens are as long as the text, tabs and all ends of lines included", () => {
  const text = normalise("\tindented\r\n\r\n- a\r\n\t- b\r\n\r\n```make\r\nall:\r\n\techo\r\n```\r\n\r\nend");
  const raw = lex(text).map((token) => token.raw).join("");
  assert.equal(raw, text);
});

test("blocks of code keep their tabs", () => {
  assert.deepEqual(codeBlocks("```makefile\nall:\n\techo hi\n```\ntext\n~~~{.py}\nx\n~~~"), [
    { language: "makefile", code: "all:\n\techo hi" },
    { language: "", code: "x" },
  ]);
});

test("dollars are formulas only where they look like some", () => {
  assert.equal(inlineMath("$x + y$ and")?.text, "x + y");
  assert.equal(inlineMath("$5 and $6"), undefined);
  assert.equal(inlineMath("$ x $"), undefined);
  assert.equal(inlineMath("$x$2"), undefined);
  assert.equal(inlineMath("$$x$$")?.["display"], true);
  assert.equal(inlineMath("\\(a_b\\)")?.text, "a_b");
  assert.equal(inlineMath(`$${"x".repeat(6000)}$`), undefined);
});

test("formulas keep their underscores and stars", () => {
  const html = toHtml(lex("so $a_1 * b_2 * c_3$ and *this*"));
  assert.match(html, /data-math="inline">a_1 \* b_2 \* c_3</);
  assert.match(html, /<em>this<\/em>/);
});

test("links lead to the web or nowhere", () => {
  for (const good of ["https://a.example", "http://a", "mailto:a@b", "#part"]) assert.ok(isLink(good), good);
  for (const bad of ["javascript:x", " javascript:x", "data:text/html,x", "vbscript:x", "//a", "file:///etc", "java\nscript:x"]) {
    assert.ok(!isLink(bad), bad);
  }
  assert.ok(isInlinePicture("data:image/png;base64,AAAA"));
  assert.ok(!isInlinePicture("data:image/svg+xml;base64,AAAA"));
  assert.ok(!isInlinePicture("https://a.example/p.png"));
});
