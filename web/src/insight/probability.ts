import type { TokenDetail } from "../data/types";

const limits = [0.8, 0.5, 0.2, 0.05];

/** 0 (sure) to 4 (surprising): how a token is coloured. */
export function doubt(token: TokenDetail): number {
  const at = limits.findIndex((limit) => Math.exp(token.logprob) >= limit);
  return at < 0 ? limits.length : at;
}

/** "12.3 %" */
export function percent(logprob: number): string {
  const value = Math.exp(logprob) * 100;
  if (value < 0.01) return "< 0.01 %";
  return `${value.toLocaleString(undefined, { maximumFractionDigits: value < 1 ? 2 : 1 })} %`;
}

/** How many words the model wavered between, on average: e to the mean of the negative logarithms. */
export function perplexity(tokens: readonly TokenDetail[]): number {
  if (tokens.length === 0) return 1;
  return Math.exp(-tokens.reduce((sum, token) => sum + token.logprob, 0) / tokens.length);
}

/** A token as it can be seen: spaces and ends of lines have signs. */
export function visible(token: string): string {
  if (token === "") return "∅";
  return token.replace(/\n/g, "⏎").replace(/\t/g, "⇥").replace(/^ +| +$/g, (spaces) => "␣".repeat(spaces.length));
}
