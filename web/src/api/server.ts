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
