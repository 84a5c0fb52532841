import { runJavascript } from "./javascript";
import type { Tool } from "./toolbox";
import { webSearch } from "./web_search";

/** The tools that come with the page. */
export function builtInTools(): Tool[] {
  return [currentTime, runJavascript, webSearch];
}

const currentTime: Tool = {
  name: "current_time",
  description: {
    type: "function",
    function: {
      name: "current_time",
      description: "The date and the time of day where the user is.",
      parameters: { type: "object", properties: {} },
    },
  },
  run: () => Promise.resolve(new Date().toString()),
};
