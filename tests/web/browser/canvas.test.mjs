import assert from "node:assert/strict";
import { test } from "node:test";
import { answered, ask, onPage, send, until } from "./support.mjs";

test("a ball in a spinning pentagon just plays", onPage("mock", {}, async ({ page }) => {
  await ask(page, "mock:pentagon");
  const frame = page.locator(".canvas iframe");
  await frame.waitFor();
  await page.locator(".canvas-console", { hasText: "the ball is in play" }).waitFor();
  await page.waitForTimeout(300);
  const first = await frame.screenshot();
  await page.waitForTimeout(500);
  const second = await frame.screenshot();
  assert.ok(!first.equals(second), "two pictures half a second apart differ");
  assert.equal(await page.locator(".canvas-title").inputValue(), "Ball in a pentagon");
}));

test("a program cannot reach the page, the store or the network", onPage("mock", {}, async ({ page, problems }) => {
  await ask(page, "mock:pentagon");
  await page.getByRole("tab", { name: "Source" }).click();
  await page.getByLabel(/^Source/).fill(`<!doctype html><script>
    const results = [];
    const attempt = async (name, action) => {
      try { await action(); results.push(name + " worked"); } catch { results.push(name + " refused"); }
    };
    (async () => {
      await attempt("parent", () => parent.document.body.append("x"));
      await attempt("storage", () => localStorage.setItem("a", "b"));
      await attempt("fetch", () => fetch("/v1/models"));
      await attempt("fetch outside", () => fetch("https://example.org/"));
      await attempt("peer", () => new RTCPeerConnection());
      console.log(results.join(", "));
    })();
  </script>`);
  await page.getByRole("tab", { name: "Preview" }).click();
  const line = page.locator(".canvas-console p", { hasText: "parent" });
  await line.waitFor();
  assert.equal(
    await line.innerText(),
    "parent refused, storage refused, fetch refused, fetch outside refused, peer refused",
  );
  problems.length = 0; // the refusals are reported, as they should be
}));

test("an edit by hand is a version, and the way back is there", onPage("mock", {}, async ({ page }) => {
  await ask(page, "mock:pentagon");
  await page.getByRole("tab", { name: "Source" }).click();
  const source = page.getByLabel(/^Source/);
  await source.fill("<h1>mine</h1>");
  await page.locator(".version-at", { hasText: "2 / 2" }).waitFor();
  await page.getByRole("tab", { name: "Preview" }).click();
  await page.frameLocator(".canvas iframe").getByText("mine").waitFor();
  await page.locator(".canvas").getByRole("button", { name: "Earlier version" }).click();
  await page.locator(".version-at", { hasText: "1 / 2" }).waitFor();
  await page.getByRole("tab", { name: "Source" }).click();
  assert.match(await source.inputValue(), /Ball in a pentagon/);
}));

test("asking changes the document, and versions survive a reload", onPage("mock", {}, async ({ page, mock }) => {
  await ask(page, "mock:pentagon");
  await page.getByText("About “Ball in a pentagon”").waitFor();
  await send(page, "Make the ball red.");
  await answered(page);
  await page.locator(".version-at", { hasText: "2 / 2" }).waitFor();
  assert.match(mock.requests.at(-1).messages.at(-1).content, /open beside this conversation[\s\S]*Make the ball red\.$/);
  await page.reload();
  await page.locator(".message").first().waitFor();
  await page.keyboard.press("Control+Shift+E");
  await page.locator(".canvas-list").getByText("Ball in a pentagon").click();
  await page.locator(".version-at", { hasText: "2 / 2" }).waitFor();
}));

test("a document can be downloaded under its name", onPage("mock", {}, async ({ page }) => {
  await ask(page, "mock:pentagon");
  const download = page.waitForEvent("download");
  await page.getByRole("button", { name: "Save as a file" }).click();
  assert.equal((await download).suggestedFilename(), "Ball-in-a-pentagon.html");
}));

test("code of any language opens beside the chat", onPage("mock", {}, async ({ page }) => {
  await ask(page, "mock:long");
  assert.equal(await page.locator(".with-canvas").count(), 0);
  await page.getByRole("button", { name: "Open in the canvas" }).click();
  await page.locator(".canvas-code .hljs-keyword").first().waitFor();
  assert.ok(await page.getByRole("tab", { name: "Preview" }).isHidden());
  await page.getByRole("button", { name: "Close the canvas" }).click();
  await until(page, () => document.querySelector(".with-canvas") === null);
}));
