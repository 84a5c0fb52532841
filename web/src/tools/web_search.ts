import { withKey } from "../api/server";
import type { Tool } from "./toolbox";

interface SearchResult {
  title: string;
  url: string;
  content: string;
}

/** Results as a model reads them: numbered, with their addresses. */
export function resultText(results: readonly SearchResult[]): string {
  if (results.length === 0) return "Nothing was found.";
  return results.map(({ title, url, content }, i) => `${i + 1}. ${title}\n${url}\n${content}`).join("\n\n");
}

// The server asks the SearXNG address of its --searxng option; the page asks the server only.
async function search(query: string): Promise<string> {
  const response = await fetch("/page/search", {
    method: "POST",
    headers: withKey({ "Content-Type": "application/json" }),
    body: JSON.stringify({ query }),
  });
  const answer = (await response.json()) as { results?: SearchResult[]; error?: { message?: string } };
  if (!response.ok) throw new Error(answer.error?.message ?? `HTTP ${response.status}`);
  return resultText(answer.results ?? []);
}

export const webSearch: Tool = {
  name: "web_search",
  description: {
    type: "function",
    function: {
      name: "web_search",
      description: "Searches the web and returns titles, addresses and excerpts of pages.",
      parameters: {
        type: "object",
        properties: { query: { type: "string", description: "What to search for" } },
        required: ["query"],
      },
    },
  },
  run: (input) => search(typeof input["query"] === "string" ? input["query"] : ""),
};
