import assert from "node:assert/strict";
import { test } from "node:test";
import { answered, ask, escape, onPage } from "./support.mjs";

async function withTools(page, settings) {
  await page.evaluate((value) => localStorage.setItem("corral.settings", JSON.stringify(value)), settings);
  await page.reload();
  await page.locator(".composer-field").waitFor();
}

test("a call waits for a yes, runs, and its result goes back", onPage("mock", {}, async ({ page, mock }) => {
  await withTools(page, { tools: ["run_javascript"] });
  await ask(page, 'mock:tool run_javascript {"code": "console.log(6 * 7); return [1, 2]"}');
  await page.getByText("The model wants to run this.").waitFor();
  assert.equal(mock.requests.length, 1);
  assert.equal(mock.requests[0].tools[0].function.name, "run_javascript");
  await page.getByRole("button", { name: "Run", exact: true }).click();
  await page.locator(".markdown", { hasText: "The tool said: 42" }).waitFor();
  await answered(page);
  const { messages } = mock.requests.at(-1);
  assert.deepEqual(messages.map((message) => message.role), ["user", "assistant", "tool"]);
  assert.equal(messages[1].tool_calls[0].id, messages[2].tool_call_id);
}));

test("a search asks the server, where the server can search", onPage("mock", {}, async ({ page, mock }) => {
  await page.getByRole("button", { name: "Tools", exact: true }).click();
  assert.equal(await page.getByLabel("Search the web").count(), 0);
  mock.results = [{ title: "Llamas", url: "https://example.org/llamas", content: "They hum." }];
  await page.reload();
  await page.getByRole("button", { name: "Tools", exact: true }).click();
  await page.getByLabel("Search the web").check();
  await escape(page);
  await ask(page, 'mock:tool web_search {"query": "llamas"}');
  await page.getByRole("button", { name: "Run", exact: true }).click();
  await page.locator(".markdown", { hasText: "They hum." }).waitFor();
  assert.equal(mock.requests.at(-1).messages.at(-1).content, "1. Llamas\nhttps://example.org/llamas\nThey hum.");
}));

test("a call that is refused tells the model so", onPage("mock", {}, async ({ page, mock }) => {
  await withTools(page, { tools: ["current_time"] });
  await ask(page, "mock:tool current_time {}");
  await page.getByRole("button", { name: "Refuse" }).click();
  await page.locator(".markdown", { hasText: "refused this call" }).waitFor();
  assert.match(mock.requests.at(-1).messages.at(-1).content, /refused/);
}));

test("a program that fails tells the model why", onPage("mock", {}, async ({ page }) => {
  await withTools(page, { tools: ["run_javascript"] });
  await ask(page, 'mock:tool run_javascript {"code": "return missing + 1"}');
  await page.getByRole("button", { name: "Run", exact: true }).click();
  await page.locator(".markdown", { hasText: "missing is not defined" }).waitFor();
}));

test("a tool of one's own is answered by hand", onPage("mock", {}, async ({ page, mock }) => {
  await withTools(page, { ownTools: '[{"name": "rain", "parameters": {"type": "object"}}]' });
  await ask(page, 'mock:tool rain {"city": "Oslo"}');
  assert.equal(mock.requests[0].tools[0].function.name, "rain");
  await page.getByLabel("Type what this tool returns").fill("heavy");
  await page.getByRole("button", { name: "Give the result" }).click();
  await page.locator(".markdown", { hasText: "The tool said: heavy" }).waitFor();
}));

test("a call that waits is still there after a reload", onPage("mock", {}, async ({ page }) => {
  await withTools(page, { tools: ["current_time"] });
  await ask(page, "mock:tool current_time {}");
  await page.reload();
  await page.getByRole("button", { name: "Run", exact: true }).click();
  await page.locator(".markdown", { hasText: "The tool said:" }).waitFor();
}));

test("the experts that the real server tells are shown as a map", onPage("corral", {}, async ({ page }) => {
  await withTools(page, { expertRouting: true, tokenDetails: true });
  await ask(page, "Hello");
  await page.getByRole("button", { name: "Tokens" }).last().click();
  await page.getByLabel(/^Map of \d+ experts in [1-9]\d* layers$/).waitFor();
  await page.getByLabel("Token", { exact: true }).fill("1");
  await page.getByText("Token 2 “").waitFor();
}));

test("the experts of an answer are shown as a map", onPage("mock", {}, async ({ page, mock }) => {
  await withTools(page, { expertRouting: true, tokenDetails: true });
  await ask(page, "mock:slow");
  assert.equal(mock.requests[0].expert_routing, true);
  await page.getByRole("button", { name: "Tokens" }).last().click();
  await page.getByLabel("Map of 16 experts in 4 layers").waitFor();
  await page.getByLabel("Token", { exact: true }).fill("2");
  await page.getByText("Token 3 “").waitFor();
}));
