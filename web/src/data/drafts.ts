// What was typed and not sent, for each conversation; "" stands for a new one.
const prefix = "corral.draft.";

export function loadDraft(conversation: string): string {
  return localStorage.getItem(prefix + conversation) ?? "";
}

export function saveDraft(conversation: string, text: string): void {
  if (text === "") return clearDraft(conversation);
  try {
    localStorage.setItem(prefix + conversation, text);
  } catch {
    // The store is full: the draft stays in the field.
  }
}

export function clearDraft(conversation: string): void {
  localStorage.removeItem(prefix + conversation);
}
