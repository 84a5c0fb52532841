import type { Failure } from "../data/types";
import { failureOf } from "./failure";

export interface Model {
  id: string;
  contextTokens: number | null;
}

const keyName = "corral.key";

/** The key lives as long as the tab. */
export function storedKey(): string {
  return sessionStorage.getItem(keyName) ?? "";
}
export function storeKey(key: string): void {
  sessionStorage.setItem(keyName, key);
}

export function withKey(headers: Record<string, string> = {}): Record<string, string> {
  const key = storedKey();
  return key === "" ? headers : { ...headers, Authorization: `Bearer ${key}` };
}

/** The models that can be talked to. */
export async function fetchModels(): Promise<Model[] | Failure> {
  let response: Response;
  try {
    response = await fetch("/v1/models", { headers: withKey() });
  } catch (error) {
    return { kind: "offline", message: String(error) };
  }
  const text = await response.text().catch(() => "");
  if (!response.ok) return failureOf(response.status, text, response.headers.get("Retry-After"));
  return parseModels(text);
}

export function parseModels(text: string): Model[] {
  const list = (JSON.parse(text) as { data?: { id?: unknown; max_model_len?: unknown }[] }).data;
  return (list ?? []).flatMap(({ id, max_model_len }) =>
    typeof id === "string"
      ? [{ id, contextTokens: typeof max_model_len === "number" ? max_model_len : null }]
      : [],
  );
}

/** Is somebody there who takes requests? */
export async function isHealthy(): Promise<boolean> {
  try {
    return (await fetch("/health", { cache: "no-store" })).ok;
  } catch {
    return false;
  }
}

/** What a server can do beyond OpenAI's API. */
export interface Features {
  /** Search the web, for the page. */
  webSearch: boolean;
  /** Say which experts worked on each token. */
  expertRouting: boolean;
}

/** Servers that do not know the question can do none of it. */
export async function fetchFeatures(): Promise<Features> {
  let known: Record<string, unknown> = {};
  try {
    const response = await fetch("/page/features", { headers: withKey() });
    if (response.ok) known = (await response.json()) as Record<string, unknown>;
  } catch {
    // Nobody answered: nothing is known.
  }
  return { webSearch: known["web_search"] === true, expertRouting: known["expert_routing"] === true };
}
