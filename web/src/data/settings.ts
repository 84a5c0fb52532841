/** Sampling as the API spells it; absent ones are the server's business. */
export interface Sampling {
  temperature: number;
  top_p: number;
  min_p: number;
  top_k: number;
  repetition_penalty: number;
  max_tokens: number | null;
  seed: number | null;
}

export interface Settings {
  model: string;
  system: string;
  sampling: Sampling;
  /** Ask for the alternatives of each token. */
  tokenDetails: boolean;
  /** Ask which experts worked on each token. */
  expertRouting: boolean;
  enterSends: boolean;
  /** Names of the built-in tools that the model may use. */
  tools: string[];
  /** Tools whose results are typed by hand, as OpenAI's function descriptions: a JSON array. */
  ownTools: string;
  /** Open programs and documents beside the chat as they are written. */
  canvasOpens: boolean;
}

export const defaults: Settings = {
  model: "",
  system: "",
  sampling: {
    temperature: 0.8,
    top_p: 0.95,
    min_p: 0,
    top_k: 0,
    repetition_penalty: 1,
    max_tokens: null,
    seed: null,
  },
  tokenDetails: false,
  expertRouting: false,
  enterSends: true,
  tools: [],
  ownTools: "",
  canvasOpens: true,
};

/** The settings in a text that may be of an older page, damaged, or not there. */
export function readSettings(stored: string | null): Settings {
  const settings = structuredClone(defaults);
  try {
    merge(settings as unknown as Record<string, unknown>, JSON.parse(stored ?? "{}"));
  } catch {
    // Not JSON: as if nothing was stored.
  }
  return settings;
}

// Takes over what has the type of the default.
function merge(into: Record<string, unknown>, from: unknown): void {
  if (typeof from !== "object" || from === null) return;
  for (const [key, value] of Object.entries(from)) {
    const known = into[key];
    if (!(key in into)) continue;
    if (Array.isArray(known)) {
      if (Array.isArray(value)) into[key] = value.filter((item) => typeof item === "string");
    } else if (typeof known === "object" && known !== null) {
      merge(known as Record<string, unknown>, value);
    } else if (known === null ? value === null || typeof value === "number" : typeof value === typeof known) {
      into[key] = value;
    }
  }
}

const key = "corral.settings";

export function loadSettings(): Settings {
  return readSettings(localStorage.getItem(key));
}

export function saveSettings(settings: Settings): void {
  localStorage.setItem(key, JSON.stringify(settings));
}
