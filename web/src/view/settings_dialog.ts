import { storedKey, storeKey } from "../api/server";
import type { Chat } from "../chat/chat";
import { defaults, saveSettings, type Sampling, type Settings } from "../data/settings";
import { applyTheme, storedTheme, storeTheme, type Theme } from "../data/theme";
import { fill, h, type Child } from "../dom/h";
import { icon, type IconName } from "../dom/icons";
import { openDialog } from "../dom/dialog";
import { texts } from "../text/texts";
import { parseOwnTools } from "../tools/toolbox";

export interface SettingsActions {
  changed(): void;
  exportAll(): void;
  importFile(file: File): void;
  removeAll(): void;
  askForKey(): void;
}

const words = texts.settings;

/** Everything that can be set. Changes hold at once; there is nothing to save. */
export function showSettings(chat: Chat, actions: SettingsActions): void {
  const settings = chat.settings;
  const changed = () => {
    saveSettings(settings);
    actions.changed();
  };
  const answers = h("div", { class: "settings-part" });
  const fillAnswers = () => fill(answers, ...samplingFields(settings, changed, fillAnswers));
  fillAnswers();
  openDialog(
    words.title,
    "settings",
    part(words.conversation, ...instructionFields(chat, changed)),
    part(words.answers, answers),
    part(words.toolsPart, ...toolFields(chat, settings, changed)),
    part(words.page, themeField(), ...switches(settings, chat.link.features.expertRouting, changed)),
    part(words.data, ...dataFields(actions)),
  );
}

function part(title: string, ...children: Child[]): HTMLElement {
  return h("section", { class: "settings-section" }, h("h3", {}, title), ...children);
}

function instructionFields(chat: Chat, changed: () => void): HTMLElement[] {
  const area = (value: string, label: string, hint: string, set: (text: string) => void) => {
    const field: HTMLTextAreaElement = h("textarea", { class: "input", rows: 3, onchange: () => set(field.value) });
    field.value = value;
    return h("label", { class: "field" }, h("span", { class: "field-label" }, label), field, h("span", { class: "field-hint" }, hint));
  };
  const all = area(chat.settings.system, words.system, words.systemHint, (text) => {
    chat.settings.system = text;
    changed();
  });
  const own = area(chat.current?.system ?? "", words.systemOwn, words.systemOwnHint, (text) => void chat.setSystem(text));
  return [all, own];
}

interface NumberField {
  key: keyof Sampling;
  min: number;
  max: number;
  step: number;
}
const sliders: NumberField[] = [
  { key: "temperature", min: 0, max: 2, step: 0.05 },
  { key: "top_p", min: 0.05, max: 1, step: 0.05 },
  { key: "min_p", min: 0, max: 0.5, step: 0.01 },
  { key: "top_k", min: 0, max: 200, step: 1 },
  { key: "repetition_penalty", min: 0.8, max: 1.5, step: 0.01 },
];
const optional: NumberField[] = [
  { key: "max_tokens", min: 1, max: 1_000_000, step: 1 },
  { key: "seed", min: 0, max: 2 ** 53 - 1, step: 1 },
];

function samplingFields(settings: Settings, changed: () => void, again: () => void): HTMLElement[] {
  const reset = h(
    "button",
    {
      class: "button small",
      type: "button",
      onclick: () => {
        settings.sampling = structuredClone(defaults.sampling);
        changed();
        again();
      },
    },
    words.reset,
  );
  return [
    ...sliders.map((field) => slider(settings, field, changed)),
    h("div", { class: "field-pair" }, ...optional.map((field) => optionalNumber(settings, field, changed))),
    h("div", {}, reset),
  ];
}

function slider(settings: Settings, { key, min, max, step }: NumberField, changed: () => void): HTMLElement {
  const value = () => settings.sampling[key] ?? 0;
  const output = h("output", { class: "field-value" }, String(value()));
  const input = h("input", {
    type: "range",
    min,
    max,
    step,
    value: value(),
    name: key,
    oninput: () => {
      settings.sampling[key] = input.valueAsNumber;
      output.textContent = String(input.valueAsNumber);
      changed();
    },
  });
  return h("label", { class: "field slider" }, h("span", { class: "field-label" }, words[key]), output, input, h("span", { class: "field-hint" }, words[`${key}Hint`]));
}

function optionalNumber(settings: Settings, { key, min, max, step }: NumberField, changed: () => void): HTMLElement {
  const input = h("input", {
    class: "input",
    type: "number",
    inputmode: "numeric",
    min,
    max,
    step,
    name: key,
    value: settings.sampling[key] ?? "",
    oninput: () => {
      const value = input.valueAsNumber;
      if (input.value !== "" && !input.validity.valid) return;
      (settings.sampling as unknown as Record<string, number | null>)[key] = Number.isNaN(value) ? null : value;
      changed();
    },
  });
  return h("label", { class: "field" }, h("span", { class: "field-label" }, words[key]), input, h("span", { class: "field-hint" }, words[`${key}Hint`]));
}

function toolFields(chat: Chat, settings: Settings, changed: () => void): HTMLElement[] {
  const boxes = chat.tools.known.map((tool) =>
    toggle(texts.tools.names[tool.name] ?? tool.name, tool.description.function.description ?? "", settings.tools.includes(tool.name), (on) => {
      settings.tools = on ? [...settings.tools, tool.name] : settings.tools.filter((name) => name !== tool.name);
      changed();
    }),
  );
  const error = h("span", { class: "field-error", role: "alert" });
  const own = h("textarea", {
    class: "input code-input",
    rows: 3,
    spellcheck: "false",
    oninput: () => {
      error.textContent = parseOwnTools(own.value).error ?? "";
      settings.ownTools = own.value;
      changed();
    },
  });
  own.value = settings.ownTools;
  return [...boxes, h("label", { class: "field" }, h("span", { class: "field-label" }, texts.tools.own), own, h("span", { class: "field-hint" }, texts.tools.ownHint), error)];
}

function switches(settings: Settings, routes: boolean, changed: () => void): HTMLElement[] {
  const bool = (key: "enterSends" | "canvasOpens" | "tokenDetails" | "expertRouting", label: string, hint = "") =>
    toggle(label, hint, settings[key], (on) => {
      settings[key] = on;
      changed();
    }, key);
  return [
    bool("enterSends", words.enterSends),
    bool("canvasOpens", words.canvasOpens),
    bool("tokenDetails", words.tokenDetails, words.tokenDetailsHint),
    ...(routes ? [bool("expertRouting", words.expertRouting, words.expertRoutingHint)] : []),
  ];
}

export function toggle(label: string, hint: string, on: boolean, set: (on: boolean) => void, name = ""): HTMLElement {
  const box: HTMLInputElement = h("input", { type: "checkbox", role: "switch", class: "switch", name, checked: on, onchange: () => set(box.checked) });
  return h("label", { class: "toggle" }, h("span", {}, h("span", { class: "field-label" }, label), hint !== "" && h("span", { class: "field-hint" }, hint)), box);
}

function themeField(): HTMLElement {
  const choices: [Theme, IconName, string][] = [
    ["auto", "auto", texts.theme.auto],
    ["light", "sun", texts.theme.light],
    ["dark", "moon", texts.theme.dark],
  ];
  return h(
    "fieldset",
    { class: "segments" },
    h("legend", { class: "field-label" }, texts.theme.label),
    ...choices.map(([theme, symbol, label]) =>
      h(
        "label",
        { class: "segment" },
        h("input", {
          type: "radio",
          name: "theme",
          value: theme,
          checked: storedTheme() === theme,
          onchange: () => {
            storeTheme(theme);
            applyTheme(document.documentElement, theme);
          },
        }),
        h("span", {}, icon(symbol), label),
      ),
    ),
  );
}

function dataFields(actions: SettingsActions): HTMLElement[] {
  const file = h("input", {
    type: "file",
    accept: ".json,application/json",
    hidden: true,
    onchange: () => {
      const chosen = file.files?.[0];
      if (chosen !== undefined) actions.importFile(chosen);
      file.value = "";
    },
  });
  const button = (label: string, symbol: IconName, run: () => void, danger = false) =>
    h("button", { class: danger ? "button small danger-text" : "button small", type: "button", onclick: run }, icon(symbol), label);
  return [
    h(
      "div",
      { class: "button-row" },
      button(words.exportAll, "download", () => actions.exportAll()),
      button(words.import, "upload", () => file.click()),
      file,
      storedKey() === ""
        ? button(words.key, "key", () => actions.askForKey())
        : button(words.keyForget, "key", () => {
            storeKey("");
            actions.askForKey();
          }),
      button(words.removeAll, "trash", () => actions.removeAll(), true),
    ),
  ];
}
