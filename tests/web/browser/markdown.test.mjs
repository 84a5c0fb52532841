import assert from "node:assert/strict";
import { test } from "node:test";
import { ask, lastAnswer, onPage } from "./support.mjs";

test("tables, lists, formulas and code are shown as such", onPage("mock", {}, async ({ page }) => {
  await ask(page, "mock:long");
  const answer = lastAnswer(page);
  await answer.locator(".katex-display").waitFor();
  assert.equal(await answer.locator("table tr").count(), 4);
  assert.equal(await answer.locator("ol > li").count(), 3);
  assert.ok((await answer.locator("code .hljs-keyword").count()) > 3);
  assert.ok((await answer.locator(".katex").count()) >= 8);
  assert.match(await answer.innerText(), /not \$5 and not \$6/);
  assert.equal(await answer.locator(".task[data-checked=true]").count(), 1);
  assert.equal(await answer.locator("a").getAttribute("rel"), "noopener noreferrer nofollow");
}));

test("a streamed answer ends as the same page as a stored one", onPage("mock", {}, async ({ page }) => {
  await ask(page, "mock:long");
  await lastAnswer(page).locator(".katex-display").waitFor();
  const html = () => lastAnswer(page).locator(".markdown").innerHTML();
  const streamed = await html();
  await page.reload();
  await lastAnswer(page).locator(".katex-display").waitFor();
  await page.waitForTimeout(200);
  assert.equal(await html(), streamed);
}));

test("what a model writes as HTML can do nothing", onPage("mock", {}, async ({ page, problems }) => {
  await ask(page, "mock:nasty");
  const answer = lastAnswer(page).locator(".markdown");
  assert.equal(await page.evaluate(() => window.hurt), undefined);
  assert.equal(await answer.locator("b").innerText(), "bold");
  assert.equal(await answer.locator("script, iframe, svg, style, [onclick], [onerror], [style]").count(), 0);
  assert.equal(await answer.locator("a[href^=javascript]").count(), 0);
  assert.equal(await answer.locator("img[src^=http]").count(), 0);
  assert.equal(await answer.getByRole("link", { name: "a picture" }).getAttribute("href"), "https://example.org/p.png");
  problems.length = 0; // the policy speaks of the style that the model wrote, which was not applied
}));

test("code is copied with its tabs and lines", onPage("mock", {}, async ({ page, context }) => {
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await ask(page, "mock:long");
  await page.getByRole("button", { name: "Copy the code" }).click();
  const copied = await page.evaluate(() => navigator.clipboard.readText());
  assert.match(copied, /^import math\n\ndef rotate/);
  assert.match(copied, /math\.pi \/ 2\)\)$/);
}));
