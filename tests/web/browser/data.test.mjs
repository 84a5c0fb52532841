import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { answered, ask, escape, onPage, until } from "./support.mjs";

async function another(page, text) {
  await page.getByRole("button", { name: "New chat" }).first().click();
  await page.getByText("What shall we talk about?").waitFor();
  await ask(page, text);
}

async function menu(page, title, item) {
  await page.locator(".conversation", { hasText: title }).hover();
  await page.getByRole("button", { name: `More for ${title}` }).click();
  await page.getByRole("menuitem", { name: item }).click();
}

test("conversations are listed, found by their words, and opened", onPage("mock", {}, async ({ page }) => {
  await ask(page, "Plans for the garden");
  await another(page, "Why is the sky blue?");
  assert.deepEqual(await page.locator(".conversation-title").allInnerTexts(), ["Why is the sky blue?", "Plans for the garden"]);
  await page.keyboard.press("Control+k");
  await page.keyboard.type("gárden you");
  await page.locator(".excerpt mark").waitFor();
  assert.deepEqual(await page.locator(".conversation-title").allInnerTexts(), ["Plans for the garden"]);
  await page.locator(".conversation-open").click();
  await page.locator(".bubble", { hasText: "Plans for the garden" }).waitFor();
  await page.getByLabel("Search", { exact: true }).fill("nowhere");
  await page.getByText("Nothing has “nowhere” in it.").waitFor();
}));

test("a conversation is renamed, deleted, and brought back", onPage("mock", {}, async ({ page }) => {
  await ask(page, "old name");
  await menu(page, "old name", "Rename");
  await page.getByLabel("Name", { exact: true }).fill("new name");
  await page.keyboard.press("Enter");
  await page.locator(".conversation-title", { hasText: "new name" }).waitFor();
  await menu(page, "new name", "Delete");
  await page.getByText("What shall we talk about?").waitFor();
  assert.equal(await page.locator(".conversation").count(), 0);
  await page.getByRole("button", { name: "Undo" }).click();
  await page.locator(".conversation-title", { hasText: "new name" }).click();
  await page.locator(".bubble", { hasText: "old name" }).waitFor();
}));

test("an export holds all branches, and an import brings them back", onPage("mock", {}, async ({ page }) => {
  await ask(page, "to be kept");
  await page.getByRole("button", { name: "Another answer" }).click();
  await page.getByRole("group", { name: "Version 2 of 2" }).waitFor();
  await answered(page);
  const saved = page.waitForEvent("download");
  await menu(page, "to be kept", "Export as JSON");
  const file = await readFile(await (await saved).path());
  await menu(page, "to be kept", "Delete");
  await page.keyboard.press("Control+,");
  await page.locator("input[accept*=json]").setInputFiles({ name: "c.json", mimeType: "application/json", buffer: file });
  await page.getByText("One conversation is imported").waitFor();
  await escape(page);
  await page.locator(".conversation-title", { hasText: "to be kept" }).click();
  await page.getByRole("group", { name: "Version 2 of 2" }).waitFor();
}));

test("a file that is no export is refused with words", onPage("mock", {}, async ({ page }) => {
  await page.keyboard.press("Control+,");
  await page.locator("input[accept*=json]").setInputFiles({ name: "c.json", mimeType: "application/json", buffer: Buffer.from("{}") });
  await page.getByText("Not imported: the file holds no conversations").waitFor();
}));

test("a conversation is exported as Markdown", onPage("mock", {}, async ({ page }) => {
  await ask(page, "in words");
  const saved = page.waitForEvent("download");
  await menu(page, "in words", "Export as Markdown");
  const download = await saved;
  assert.equal(download.suggestedFilename(), "in-words.md");
  assert.equal(
    String(await readFile(await download.path())),
    "# in words\n\n## You\n\nin words\n\n## mock-large\n\nYou said: in words\n",
  );
}));

test("the address names the conversation, and back goes back", onPage("mock", {}, async ({ page }) => {
  await ask(page, "first one");
  await another(page, "second one");
  await page.goBack();
  await page.goBack();
  await page.locator(".bubble", { hasText: "first one" }).waitFor();
}));

test("the chosen appearance holds", onPage("mock", {}, async ({ page }) => {
  await page.keyboard.press("Control+,");
  await page.getByText("Dark", { exact: true }).click();
  await page.reload();
  assert.equal(await page.evaluate(() => getComputedStyle(document.body).backgroundColor), "rgb(25, 24, 22)");
}));

test("the keyboard reaches everything", onPage("mock", {}, async ({ page }) => {
  await ask(page, "edit me");
  await page.keyboard.press("ArrowUp");
  await page.getByLabel("Edit your message").waitFor();
  await escape(page);
  await page.getByLabel("Edit your message").waitFor({ state: "detached" });
  await page.keyboard.press("Alt+ArrowDown");
  await until(page, () => document.activeElement?.classList.contains("message"));
  await page.keyboard.press("?");
  await page.getByRole("heading", { name: "Keyboard shortcuts" }).waitFor();
  await escape(page);
  await page.keyboard.press("/");
  await until(page, () => document.activeElement?.classList.contains("composer-field"));
  await page.keyboard.press("Control+Shift+O");
  await page.getByText("What shall we talk about?").waitFor();
}));

test("a screen reader hears the answer in sentences", onPage("mock", {}, async ({ page }) => {
  await page.evaluate(() => {
    window.heard = [];
    new MutationObserver((changes) => {
      for (const change of changes) for (const node of change.addedNodes) window.heard.push(node.textContent);
    }).observe(document.querySelector("[role=log][aria-live=polite]"), { childList: true });
  });
  await ask(page, "Hear me.");
  await until(page, () => window.heard.includes("The answer is complete."));
  const heard = await page.evaluate(() => window.heard);
  assert.equal(heard[0], "The answer begins.");
  assert.ok(heard.includes("You said: Hear me."));
}));

test("every button and field has a name", onPage("mock", {}, async ({ page }) => {
  await ask(page, "mock:pentagon");
  const nameless = await page.evaluate(() =>
    [...document.querySelectorAll("button, input:not([hidden]), textarea, select, iframe, [role=img]")]
      .filter((element) => element.closest("[hidden]") === null)
      .filter((element) => !(element.getAttribute("aria-label") || element.title || element.textContent.trim() || element.labels?.length))
      .map((element) => element.outerHTML.slice(0, 100)),
  );
  assert.deepEqual(nameless, []);
}));

test("nothing sticks out on a telephone", onPage("mock", { width: 390, height: 844 }, async ({ page }) => {
  const overflow = () => page.evaluate(() => {
    const thread = document.querySelector(".thread");
    return Math.max(document.documentElement.scrollWidth - innerWidth, thread.scrollWidth - thread.clientWidth);
  });
  assert.equal(await overflow(), 0);
  await ask(page, "mock:long");
  await page.locator(".katex-display").waitFor();
  assert.equal(await overflow(), 0);
}));
