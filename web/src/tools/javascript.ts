import { forScript, Sandbox } from "../canvas/sandbox";
import type { Tool } from "./toolbox";

const mostMs = 10_000;
const mostCharacters = 20_000;

/** The program as a document that says what it returns or throws. */
export function program(code: string): string {
  return `<!doctype html><meta charset="utf-8"><script>
(async () => {
  const tell = (ok, text) => parent.postMessage({ type: "corral-result", ok, text: String(text) }, "*");
  const words = (value) => {
    if (value === undefined) return "";
    return typeof value === "string" ? value : JSON.stringify(value, null, 1) ?? String(value);
  };
  try {
    tell(true, words(await (async () => {
${forScript(code)}
    })()));
  } catch (error) {
    tell(false, error);
  }
})();
</script>`;
}

/** Runs the program in a hidden frame; resolves with what it printed and returned. */
function run(code: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const lines: string[] = [];
    const timer = window.setTimeout(() => end(() => reject(new Error("it ran for more than 10 seconds"))), mostMs);
    const sandbox = new Sandbox(program(code), "", (message) => {
      const text = message.text ?? "";
      if (message.type === "corral-log" && message.level === "error") end(() => reject(new Error(text)));
      else if (message.type === "corral-log") lines.push(text);
      else if (message.ok === false) end(() => reject(new Error(text)));
      else end(() => resolve([...lines, text].filter((line) => line !== "").join("\n").slice(0, mostCharacters)));
    });
    const end = (settle: () => void) => {
      window.clearTimeout(timer);
      sandbox.end();
      settle();
    };
    sandbox.element.hidden = true;
    sandbox.element.setAttribute("aria-hidden", "true");
    document.body.append(sandbox.element);
  });
}

export const runJavascript: Tool = {
  name: "run_javascript",
  description: {
    type: "function",
    function: {
      name: "run_javascript",
      description: "Runs JavaScript without network or files and returns what it prints and returns. Use it to compute.",
      parameters: {
        type: "object",
        properties: { code: { type: "string", description: "The body of an async function. Return the result." } },
        required: ["code"],
      },
    },
  },
  run: (input) => run(typeof input["code"] === "string" ? input["code"] : ""),
};
