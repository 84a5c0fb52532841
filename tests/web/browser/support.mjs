// One browser, one corral and one mock for all tests in a browser.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { after, before } from "node:test";
import { chromium } from "playwright-core";
import { Mock } from "./mock.mjs";

let options = null;
let browser = null;
let corral = null;
let mock = null;

export function setUp(given) {
  options = given;
  before(async () => {
    corral = await startCorral();
    mock = new Mock(corral.port);
    await mock.listen();
    browser = await chromium.launch({ executablePath: options.chromium, args: ["--no-sandbox"] });
  });
  after(async () => {
    await browser?.close();
    await mock?.close();
    corral?.process.kill("SIGKILL");
  });
}

function startCorral() {
  const process_ = spawn(options.corral, ["serve", options.model, "--port", "0", "--quiet", "--threads", "1"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  return new Promise((resolve, reject) => {
    let output = "";
    process_.stdout.on("data", (data) => {
      output += data;
      const port = /http:\/\/[\d.]+:(\d+)/.exec(output)?.[1];
      if (port !== undefined) resolve({ process: process_, port: Number(port) });
    });
    process_.on("exit", (code) => reject(new Error(`corral ended with ${code}: ${output}`)));
  });
}

/** A fresh browser profile on the real server or on the mock in front of it. Fails on script errors. */
export async function openPage(to = "mock", { width = 1280, height = 800, dark = false, hash = "" } = {}) {
  const context = await browser.newContext({
    viewport: { width, height },
    colorScheme: dark ? "dark" : "light",
    acceptDownloads: true,
    reducedMotion: "reduce",
  });
  const page = await context.newPage();
  const problems = [];
  page.on("pageerror", (error) => problems.push(error.message));
  page.on("console", (message) => {
    if (/Content Security Policy/i.test(message.text())) problems.push(message.text());
  });
  const outside = [];
  const port = to === "mock" ? mock.port : corral.port;
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (/^https?:$/.test(url.protocol) && url.host !== `127.0.0.1:${port}`) outside.push(request.url());
  });
  mock.reset();
  page.setDefaultTimeout(10_000);
  await page.goto(`http://127.0.0.1:${port}/${hash}`);
  await page.locator(".composer-field").waitFor();
  // The page has met the server and stored the model by then.
  await page.locator(".model-select").waitFor();
  const close = async () => {
    await context.close();
    assert.deepEqual(problems, [], "errors on the page");
    assert.deepEqual(outside, [], "requests that leave the machine");
  };
  return { page, context, mock, problems, close };
}

/** Runs the body on a page and closes it, whatever happens. */
export function onPage(to, settings, body) {
  return async () => {
    const opened = await openPage(to, settings);
    let failed = true;
    try {
      await body(opened);
      failed = false;
    } finally {
      if (failed) await opened.context.close();
      else await opened.close();
    }
  };
}

/** Waits until the function is true on the page. (Playwright's own way needs eval, which the policy forbids.) */
export async function until(page, condition, argument) {
  const end = Date.now() + 10_000;
  while (!(await page.evaluate(condition, argument))) {
    if (Date.now() > end) throw new Error(`never became true: ${condition}`);
    await page.waitForTimeout(30);
  }
}

/** Presses Esc and waits until no dialog is left: the focus goes back when it closes, a moment later. */
export async function escape(page) {
  await page.keyboard.press("Escape");
  await until(page, () => document.querySelector("dialog") === null);
}

export async function send(page, text) {
  await page.getByLabel("Your message").fill(text);
  await page.keyboard.press("Enter");
}

/** Waits until no answer is being written. */
export async function answered(page) {
  await page.locator(".message.assistant:last-child").waitFor();
  await until(page, () => document.querySelector(".growing") === null && document.querySelector(".send.stops") === null);
}

export async function ask(page, text) {
  const before = await page.locator(".message.assistant").count();
  await send(page, text);
  await until(page, (count) => document.querySelectorAll(".message.assistant").length > count, before);
  await answered(page);
}

export function lastAnswer(page) {
  return page.locator(".message.assistant").last();
}
