/** 1234 as people write it here. */
export function count(value: number): string {
  return value.toLocaleString();
}

export function perSecond(tokens: number, milliseconds: number): string {
  const rate = (tokens * 1000) / milliseconds;
  return rate.toLocaleString(undefined, { maximumFractionDigits: rate < 10 ? 1 : 0 });
}
