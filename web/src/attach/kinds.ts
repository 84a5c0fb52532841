export type FileKind = "image" | "video" | "pdf" | "text" | "unknown";

const textEndings = new Set(
  ("txt md markdown rst tex csv tsv json jsonl xml yaml yml toml ini cfg conf log html htm css scss js mjs cjs ts tsx jsx " +
    "py pyi ipynb c h cc cpp hpp cxx cu cuh rs go java kt kts swift rb php pl lua r jl hs ml scala sh bash zsh fish ps1 bat " +
    "sql graphql proto cmake make mk dockerfile gradle diff patch srt vtt env gitignore svg")
    .split(" "),
);

/** What a file is, by its type and by its name. */
export function kindOf(name: string, type: string): FileKind {
  const ending = name.toLowerCase().split(".").pop() ?? "";
  if (type === "application/pdf" || ending === "pdf") return "pdf";
  if (type.startsWith("image/") && type !== "image/svg+xml") return "image";
  if (type.startsWith("video/")) return "video";
  if (type.startsWith("text/") || textEndings.has(ending)) return "text";
  if (/json|xml|javascript|yaml|x-sh/.test(type)) return "text";
  return "unknown";
}

/** Where in a video of so many seconds to look, in even steps and never at the very ends. */
export function momentsOf(seconds: number, frames: number): number[] {
  if (!Number.isFinite(seconds) || seconds <= 0) return [0];
  return Array.from({ length: frames }, (_, i) => (seconds * (i + 0.5)) / frames);
}

/** "1:05" */
export function clock(seconds: number): string {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/** Is this a text that was read as one? */
export function looksBinary(text: string): boolean {
  const head = text.slice(0, 4000);
  if (head.includes("\0")) return true;
  const strange = head.match(/\uFFFD/g)?.length ?? 0;
  return strange > head.length / 50;
}

/** Sizes that fit into a square of `longest`, with the same proportions. */
export function fitInto(width: number, height: number, longest: number): [number, number] {
  const scale = Math.min(1, longest / Math.max(width, height, 1));
  return [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
}
