// Runs the page's tests: node tests/web/run.mjs [CORRAL]. Unit tests need esbuild; those in a browser need
// Debian's chromium, npm ci in this folder, and the program. What is missing is named and skipped.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import path from "node:path";

const here = path.dirname(fileURLToPath(import.meta.url));
const root = path.resolve(here, "../..");
const corral = path.resolve(process.argv[2] ?? path.join(root, "build/release/corral"));
const chromium = ["/usr/bin/chromium", "/usr/bin/chromium-browser"].find((file) => existsSync(file));
const wanted = process.env.FILTER ?? "";

function filesOf(folder, ending) {
  return readdirSync(path.join(here, folder))
    .filter((name) => name.endsWith(ending) && name.includes(wanted))
    .map((name) => path.join(here, folder, name))
    .sort();
}

function bundleUnitTests() {
  const out = path.join(root, "build/web-unit");
  mkdirSync(out, { recursive: true });
  execFileSync(
    "esbuild",
    [...filesOf("unit", ".test.ts"), "--bundle", "--platform=node", "--format=esm", "--out-extension:.js=.mjs",
      `--outdir=${out}`, "--log-level=warning"],
    { env: { ...process.env, NODE_PATH: "/usr/share/nodejs" }, stdio: "inherit" },
  );
  return readdirSync(out).filter((name) => name.endsWith(".mjs")).map((name) => path.join(out, name));
}

function missing() {
  if (chromium === undefined) return "no chromium: apt-get install chromium";
  if (!existsSync(path.join(here, "node_modules/playwright-core"))) return "no playwright-core: npm ci in tests/web";
  if (!existsSync(corral)) return `no ${corral}: make build`;
  return null;
}

let units = [];
try {
  units = bundleUnitTests();
} catch (error) {
  test("unit tests", { skip: `esbuild: ${error.message.split("\n")[0]}` }, () => {});
}
for (const file of units) await import(file);

const reason = missing();
if (reason !== null) {
  test("the page in a browser", { skip: reason }, () => {});
} else {
  const { setUp } = await import("./browser/support.mjs");
  setUp({ corral, chromium, model: path.join(root, "models/llama-scout-mini.gguf") });
  for (const file of filesOf("browser", ".test.mjs")) await import(file);
}
