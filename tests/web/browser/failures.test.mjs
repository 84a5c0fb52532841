import assert from "node:assert/strict";
import { test } from "node:test";
import { answered, ask, lastAnswer, onPage, send, until } from "./support.mjs";

test("a server that is away loses nothing and is found again", onPage("mock", {}, async ({ page, mock }) => {
  await ask(page, "before");
  mock.down = true;
  mock.cut();
  await ask(page, "while it is away");
  await page.getByText("This page looks for it every few seconds").waitFor();
  await page.locator(".failure", { hasText: "Nothing is lost" }).waitFor();
  mock.down = false;
  await page.locator(".failure", { hasText: "The server is back." }).waitFor();
  assert.equal(await page.locator(".banner").count(), 0);
  await page.getByRole("button", { name: "Try again" }).click();
  await page.locator(".markdown", { hasText: "You said: while it is away" }).waitFor();
}));

test("a stream that breaks keeps its beginning", onPage("mock", {}, async ({ page }) => {
  await ask(page, "mock:break");
  await page.locator(".failure", { hasText: "The connection broke" }).waitFor();
  assert.match(await lastAnswer(page).locator(".markdown").innerText(), /^This answer will not/);
  await page.reload();
  await page.locator(".failure", { hasText: "The connection broke" }).waitFor();
}));

test("a page that is closed in the middle finds the answer as far as it came", onPage("mock", {}, async ({ page, mock }) => {
  mock.gate = new Promise(() => {});
  await send(page, "mock:slow");
  await until(page, () => (document.querySelector(".growing .markdown")?.innerText.length ?? 0) > 200);
  await page.waitForTimeout(1200);
  await page.reload();
  await page.locator(".failure", { hasText: "The connection broke" }).waitFor();
  assert.match(await lastAnswer(page).locator(".markdown").innerText(), /^One word after/);
}));

test("a key is asked for, refused, and taken", onPage("mock", {}, async ({ page, mock }) => {
  mock.key = "right";
  await page.reload();
  const field = page.getByLabel("API key");
  await field.fill("wrong");
  await page.keyboard.press("Enter");
  await page.getByText("does not know this key").waitFor();
  await field.fill("right");
  await page.keyboard.press("Enter");
  await field.waitFor({ state: "detached" });
  await ask(page, "with a key");
  await page.locator(".markdown", { hasText: "You said: with a key" }).waitFor();
  assert.equal(await page.evaluate(() => JSON.stringify(localStorage).includes("right")), false);
}));

test("a question that met a locked door is asked again with the key", onPage("mock", {}, async ({ page, mock }) => {
  await ask(page, "open");
  mock.key = "late";
  await send(page, "locked");
  await page.locator("dialog").getByLabel("API key").fill("late");
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "Try again" }).click();
  await page.locator(".markdown", { hasText: "You said: locked" }).waitFor();
}));

test("a busy server is asked again after the time that it names", onPage("mock", {}, async ({ page, mock }) => {
  mock.busy = 1;
  await send(page, "when you can");
  await page.getByText("Trying again in").waitFor();
  await page.locator(".markdown", { hasText: "You said: when you can" }).waitFor();
  await answered(page);
  assert.equal(mock.requests.length, 2);
}));

test("a conversation that no longer fits is sent without its beginning", onPage("mock", {}, async ({ page, mock }) => {
  await ask(page, "the oldest words");
  await ask(page, "mock:essay");
  await ask(page, "mock:essay again");
  mock.context = 4000;
  await ask(page, "does this fit");
  await page.locator(".failure", { hasText: "no longer fits" }).waitFor();
  await page.getByRole("button", { name: "Send without the oldest messages" }).click();
  await page.locator(".markdown", { hasText: "You said: does this fit" }).waitFor();
  const { messages } = mock.requests.at(-1);
  assert.equal(messages.at(-1).content, "does this fit");
  assert.ok(!JSON.stringify(messages).includes("the oldest words"));
  await page.locator(".message.user", { hasText: "the oldest words" }).waitFor(); // still on the page
}));

test("a model without eyes is asked without the pictures", onPage("mock", {}, async ({ page }) => {
  await page.locator("input[type=file]").first().setInputFiles({ name: "dot.png", mimeType: "image/png", buffer: dot });
  await page.locator(".shelf .thumbnail").waitFor();
  await ask(page, "mock:noimages");
  await page.locator(".failure", { hasText: "This model takes no pictures" }).waitFor();
  await page.getByRole("button", { name: "Send without pictures" }).click();
  await page.locator(".markdown", { hasText: "You said: mock:noimages" }).waitFor();
}));

test("the real server's refusal of pictures is understood", onPage("corral", {}, async ({ page }) => {
  await page.locator("input[type=file]").first().setInputFiles({ name: "dot.png", mimeType: "image/png", buffer: dot });
  await page.locator(".shelf .thumbnail").waitFor();
  await ask(page, "What is this?");
  await page.locator(".failure", { hasText: "This model takes no pictures" }).waitFor();
}));

export const dot = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
  "base64",
);
