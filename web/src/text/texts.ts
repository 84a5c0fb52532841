import { en } from "./en";

/** All words that the page shows. A translation is another object of this type. */
export type Texts = typeof en;

const languages: Record<string, Texts> = { en };

function choose(wanted: readonly string[]): Texts {
  for (const tag of wanted) {
    const known = languages[tag.split("-")[0] ?? ""];
    if (known !== undefined) return known;
  }
  return en;
}

export const texts: Texts = choose(typeof navigator === "undefined" ? [] : navigator.languages);
