import assert from "node:assert/strict";
import { test } from "node:test";
import { answered, ask, escape, lastAnswer, onPage, send, until } from "./support.mjs";

test("the real model answers, and the page says how fast", onPage("corral", {}, async ({ page }) => {
  await page.getByRole("button", { name: /Settings/ }).click();
  await page.locator("input[name=max_tokens]").fill("24");
  await escape(page);
  await send(page, "Tell me a story.");
  await answered(page);
  assert.notEqual((await lastAnswer(page).locator(".markdown").innerText()).trim(), "");
  await page.locator(".meter-text").waitFor();
  assert.match(await page.title(), /Tell me a story\. · Corral/);
}));

test("tokens of the real model have alternatives", onPage("corral", {}, async ({ page }) => {
  await page.evaluate(() => localStorage.setItem("corral.settings", JSON.stringify({ tokenDetails: true, sampling: { max_tokens: 12 } })));
  await page.reload();
  await ask(page, "Once upon a time");
  await page.getByRole("button", { name: "Tokens" }).last().click();
  const tokens = page.locator(".token-text .token");
  assert.ok((await tokens.count()) >= 2);
  await tokens.nth(1).click();
  assert.ok((await page.locator(".alternative-table tr").count()) >= 8);
  assert.equal(await page.locator(".alternative-table .taken").count(), 1);
}));

test("an answer grows while it is written", onPage("mock", {}, async ({ page, mock }) => {
  let open;
  mock.gate = new Promise((resolve) => (open = resolve));
  await send(page, "mock:slow");
  await page.locator(".growing .markdown p").waitFor();
  await until(page, () => document.querySelector(".growing .markdown").innerText.length > 300);
  assert.equal(await page.getByRole("button", { name: "Stop" }).count(), 1);
  open();
  await answered(page);
  assert.match(await lastAnswer(page).innerText(), /One word/);
}));

test("blocks that are complete stay the same nodes", onPage("mock", {}, async ({ page, mock }) => {
  let open;
  mock.gate = new Promise((resolve) => (open = resolve));
  await send(page, "mock:long");
  await page.locator(".growing .markdown h1").waitFor();
  await until(page, () => document.querySelectorAll(".growing .markdown > *").length > 4);
  await page.evaluate(() => (window.heading = document.querySelector(".markdown h1")));
  open();
  await answered(page);
  assert.ok(await page.evaluate(() => window.heading === document.querySelector(".markdown h1")));
}));

test("the end of the answer stays in sight, until one scrolls up", onPage("mock", { height: 500 }, async ({ page }) => {
  const distance = () => page.locator(".thread").evaluate((thread) => thread.scrollHeight - thread.scrollTop - thread.clientHeight);
  await ask(page, "mock:long");
  await page.locator(".katex-display").waitFor();
  await page.waitForTimeout(200);
  assert.ok((await distance()) < 3);
  await page.locator(".thread").hover();
  await page.mouse.wheel(0, -600);
  await page.getByRole("button", { name: "To the latest" }).waitFor();
  assert.ok((await distance()) > 300);
  await page.getByRole("button", { name: "To the latest" }).click();
  assert.ok((await distance()) < 3);
}));

test("stop ends the answer and keeps what came", onPage("mock", {}, async ({ page, mock }) => {
  mock.gate = new Promise(() => {});
  await send(page, "mock:slow");
  await page.locator(".growing .markdown p").waitFor();
  await escape(page);
  await answered(page);
  await page.getByText("You stopped this answer.").waitFor();
  assert.match(await lastAnswer(page).innerText(), /One word/);
}));

test("an edited message makes a branch, and both can be seen", onPage("mock", {}, async ({ page }) => {
  await ask(page, "first version");
  await page.locator(".message.user").hover();
  await page.getByRole("button", { name: "Edit" }).click();
  await page.getByLabel("Edit your message").fill("second version");
  await page.keyboard.press("Enter");
  await page.locator(".markdown", { hasText: "You said: second version" }).waitFor();
  await page.getByRole("group", { name: "Version 2 of 2" }).waitFor();
  await page.getByRole("button", { name: "Earlier version" }).click();
  await page.locator(".markdown", { hasText: "You said: first version" }).waitFor();
  assert.equal(await page.locator(".markdown", { hasText: "You said: second version" }).count(), 0);
  await page.reload();
  await page.locator(".markdown", { hasText: "You said: first version" }).waitFor();
}));

test("another answer stands beside the first", onPage("mock", {}, async ({ page }) => {
  await ask(page, "again and again");
  await page.getByRole("button", { name: "Another answer" }).click();
  await page.getByRole("group", { name: "Version 2 of 2" }).waitFor();
  await answered(page);
  await page.getByRole("button", { name: "Another answer" }).click();
  await page.getByRole("group", { name: "Version 3 of 3" }).waitFor();
}));

test("what was said before is said again to the server", onPage("mock", {}, async ({ page, mock }) => {
  await ask(page, "one");
  await ask(page, "two");
  const { messages } = mock.requests.at(-1);
  assert.deepEqual(messages.map((message) => message.role), ["user", "assistant", "user"]);
  assert.equal(messages[1].content, "You said: one");
}));

test("an answer goes on while another conversation is read", onPage("mock", {}, async ({ page, mock }) => {
  let open;
  mock.gate = new Promise((resolve) => (open = resolve));
  await send(page, "mock:slow");
  await page.locator(".growing .markdown p").waitFor();
  await page.getByRole("button", { name: "New chat" }).first().click();
  await page.getByText("What shall we talk about?").waitFor();
  open();
  await until(page, () => document.querySelector(".answering") === null);
  await page.locator(".conversation-open").first().click();
  await until(page, () => document.querySelector(".markdown")?.innerText.length > 1400);
}));

test("a cut-off answer can go on", onPage("mock", {}, async ({ page }) => {
  await ask(page, "mock:length");
  await page.getByText("longest length").waitFor();
  await page.getByRole("button", { name: "Go on" }).click();
  await page.locator(".markdown", { hasText: "You said: Go on where you stopped." }).waitFor();
}));

test("a draft survives a reload", onPage("mock", {}, async ({ page }) => {
  await page.getByLabel("Your message").fill("not sent yet");
  await page.reload();
  await until(page, () => document.querySelector(".composer-field")?.value === "not sent yet");
}));

test("settings reach the server", onPage("mock", {}, async ({ page, mock }) => {
  await page.keyboard.press("Control+,");
  await page.getByLabel("Instructions", { exact: false }).first().fill("Be brief.");
  await page.locator("input[name=temperature]").fill("0.3");
  await page.locator("input[name=seed]").fill("7");
  await page.locator("input[name=tokenDetails]").check();
  await escape(page);
  await page.getByLabel("Model").selectOption("mock-small");
  await ask(page, "hello");
  const body = mock.requests.at(-1);
  assert.equal(body.model, "mock-small");
  assert.equal(body.temperature, 0.3);
  assert.equal(body.seed, 7);
  assert.equal(body.logprobs, true);
  assert.deepEqual(body.messages[0], { role: "system", content: "Be brief." });
  await page.reload();
  await until(page, () => document.querySelector(".model-select")?.value === "mock-small");
}));
