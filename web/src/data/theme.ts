/** "auto" follows the system. */
export type Theme = "auto" | "light" | "dark";

const key = "corral.theme";

export function storedTheme(): Theme {
  const value = localStorage.getItem(key);
  return value === "light" || value === "dark" ? value : "auto";
}

export function storeTheme(theme: Theme): void {
  localStorage.setItem(key, theme);
}

export function applyTheme(root: HTMLElement, theme: Theme): void {
  if (theme === "auto") delete root.dataset["theme"];
  else root.dataset["theme"] = theme;
}
