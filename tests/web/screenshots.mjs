// Pictures of the page to look at: node tests/web/screenshots.mjs FOLDER [CORRAL]
import { mkdirSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { answered, ask, openPage, send, setUp } from "./browser/support.mjs";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");
const folder = process.argv[2] ?? path.join(root, "build/screenshots");
mkdirSync(folder, { recursive: true });
setUp({
  corral: process.argv[3] ?? path.join(root, "build/release/corral"),
  chromium: "/usr/bin/chromium",
  model: path.join(root, "models/llama-scout-mini.gguf"),
});

const desktop = { width: 1440, height: 900 };
const phone = { width: 390, height: 844 };

function shot(name, settings, body) {
  test(name, async () => {
    const opened = await openPage("mock", settings);
    try {
      await body(opened);
      await opened.page.waitForTimeout(250);
      await opened.page.screenshot({ path: path.join(folder, `${name}.png`) });
    } finally {
      await opened.context.close();
    }
  });
}

async function longAnswer({ page }) {
  await ask(page, "Where does a ball go next?");
  await ask(page, "How does one rotate a point? Please show me the formula and a program. mock:long");
  await page.locator(".katex").first().waitFor();
}

async function toTop(page) {
  await page.locator(".thread").evaluate((thread) => thread.scrollTo(0, 60));
}

for (const dark of [false, true]) {
  const tone = dark ? "dark" : "light";
  for (const [size, frame] of Object.entries({ desktop, phone })) {
    const settings = { ...frame, dark };
    shot(`welcome-${size}-${tone}`, settings, async () => {});
    shot(`long-${size}-${tone}`, settings, async (opened) => {
      await longAnswer(opened);
      await toTop(opened.page);
    });
    shot(`long-end-${size}-${tone}`, settings, longAnswer);
    shot(`canvas-${size}-${tone}`, settings, async ({ page }) => {
      await ask(page, "Show me a ball in a spinning pentagon. mock:pentagon");
      await page.waitForTimeout(1500);
    });
    shot(`settings-${size}-${tone}`, settings, async ({ page }) => {
      await page.keyboard.press("Control+,");
      await page.locator(".dialog-settings").waitFor();
    });
    shot(`error-${size}-${tone}`, settings, async ({ page, mock }) => {
      await ask(page, "Is anybody there?");
      mock.down = true;
      mock.cut();
      await ask(page, "And now?");
    });
  }
}
shot("code-canvas-desktop-dark", { ...desktop, dark: true }, async ({ page }) => {
  await ask(page, "mock:pentagon");
  await page.getByRole("tab", { name: "Source" }).click();
});
shot("tokens-desktop-light", desktop, async ({ page }) => {
  await page.evaluate(() => localStorage.setItem("corral.settings", JSON.stringify({ tokenDetails: true, expertRouting: true })));
  await page.reload();
  await ask(page, "mock:slow");
  await page.getByRole("button", { name: "Tokens" }).last().click();
  await page.locator(".token").nth(12).click();
});
shot("tool-desktop-light", desktop, async ({ page }) => {
  await page.evaluate(() => localStorage.setItem("corral.settings", JSON.stringify({ tools: ["current_time"] })));
  await page.reload();
  await ask(page, 'What time is it? mock:tool current_time {"zone": "here"}');
});
shot("streaming-desktop-light", desktop, async ({ page, mock }) => {
  mock.gate = new Promise(() => {});
  await send(page, "How does one rotate a point? mock:long");
  await page.waitForTimeout(1500);
});
shot("sidebar-phone-light", phone, async ({ page }) => {
  for (const text of ["Plans for the garden", "Why is the sky blue?", "A story about a dog who finds a map"]) {
    await page.getByLabel("New chat").last().click();
    await ask(page, text);
  }
  await page.getByLabel("Show conversations").click();
});
shot("edit-desktop-light", desktop, async ({ page }) => {
  await ask(page, "first");
  await page.locator(".message.user").hover();
  await page.getByRole("button", { name: "Edit" }).click();
});
void answered;
