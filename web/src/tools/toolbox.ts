import type { ToolDescription } from "../api/request";
import type { Settings } from "../data/settings";
import type { ToolCall } from "../data/types";

/** A tool that this page can run. */
export interface Tool {
  name: string;
  description: ToolDescription;
  /** Resolves with what the model is told. */
  run(input: Record<string, unknown>): Promise<string>;
}

/** What the model may call. Nothing runs before the person at the page has said so. */
export class Toolbox {
  constructor(
    private readonly settings: Settings,
    private readonly all: readonly Tool[],
    private readonly isAvailable: (name: string) => boolean,
  ) {}

  /** The tools that can run here and now. */
  get known(): readonly Tool[] {
    return this.all.filter((tool) => this.isAvailable(tool.name));
  }

  descriptions(): ToolDescription[] {
    const chosen = this.known.filter((tool) => this.settings.tools.includes(tool.name));
    return [...chosen.map((tool) => tool.description), ...parseOwnTools(this.settings.ownTools).tools];
  }

  find(name: string): Tool | undefined {
    return this.known.find((tool) => tool.name === name);
  }

  /** Throws with words for the model when the arguments are no object. */
  async run(tool: Tool, call: ToolCall): Promise<string> {
    const input: unknown = JSON.parse(call.arguments === "" ? "{}" : call.arguments);
    if (typeof input !== "object" || input === null) throw new Error("the arguments are no object");
    return tool.run(input as Record<string, unknown>);
  }
}

/** A JSON array of function descriptions, OpenAI's or bare. */
export function parseOwnTools(text: string): { tools: ToolDescription[]; error: string | null } {
  if (text.trim() === "") return { tools: [], error: null };
  let list: unknown;
  try {
    list = JSON.parse(text);
  } catch (error) {
    return { tools: [], error: String(error instanceof Error ? error.message : error) };
  }
  const tools: ToolDescription[] = [];
  for (const item of Array.isArray(list) ? list : [list]) {
    const outer = item as { function?: unknown };
    const inner = (outer?.function ?? item) as { name?: unknown } | null;
    if (typeof inner?.name !== "string" || inner.name === "") {
      return { tools: [], error: "every tool needs a name" };
    }
    tools.push({ type: "function", function: inner as ToolDescription["function"] });
  }
  return { tools, error: null };
}
