import type { Message, ToolCall } from "../data/types";
import { h } from "../dom/h";
import { icon } from "../dom/icons";
import { codeBlock } from "../markdown/code_block";
import { texts } from "../text/texts";
import type { Toolbox } from "../tools/toolbox";

interface CallActions {
  allowCall(message: Message, call: ToolCall): void;
  refuseCall(message: Message, call: ToolCall): void;
  answerCall(message: Message, call: ToolCall, result: string): void;
}

/** What the model wants to call, with what, and what came of it. */
export function toolCards(message: Message, toolbox: Toolbox, actions: CallActions): HTMLElement[] {
  return (message.calls ?? []).map((call) => {
    const known = toolbox.find(call.name) !== undefined;
    const complete = message.finish === "tool_calls";
    return h(
      "details",
      { class: `tool-card ${call.state}`, open: call.state === "asking" },
      h("summary", {}, icon(call.name === "web_search" ? "globe" : "tool"), h("span", { class: "tool-name" }, texts.tools.title(call.name)), h("span", { class: "tool-state" }, texts.tools.states[call.state])),
      argumentsBlock(call),
      call.result !== undefined && h("pre", { class: "tool-result", tabindex: "0", "aria-label": texts.tools.result }, call.result),
      complete && call.state === "asking" && (known ? permission(message, call, actions) : byHand(message, call, actions)),
    );
  });
}

function argumentsBlock(call: ToolCall): HTMLElement {
  try {
    const input = JSON.parse(call.arguments) as Record<string, unknown>;
    if (call.name === "run_javascript" && typeof input["code"] === "string") return codeBlock(input["code"], "javascript");
    return codeBlock(JSON.stringify(input, null, 2), "json");
  } catch {
    return codeBlock(call.arguments, "");
  }
}

function permission(message: Message, call: ToolCall, actions: CallActions): HTMLElement {
  return h(
    "div",
    { class: "tool-actions" },
    h("span", { class: "tool-question" }, texts.tools.question),
    h("button", { class: "button small", type: "button", onclick: () => actions.refuseCall(message, call) }, texts.tools.refuse),
    h("button", { class: "button small primary", type: "button", onclick: () => actions.allowCall(message, call) }, texts.tools.allow),
  );
}

function byHand(message: Message, call: ToolCall, actions: CallActions): HTMLElement {
  const field = h("textarea", { class: "editor-field", rows: 2, "aria-label": texts.tools.resultLabel, placeholder: texts.tools.resultLabel });
  return h(
    "div",
    { class: "tool-by-hand" },
    field,
    h(
      "div",
      { class: "tool-actions" },
      h("button", { class: "button small", type: "button", onclick: () => actions.refuseCall(message, call) }, texts.tools.refuse),
      h("button", { class: "button small primary", type: "button", onclick: () => actions.answerCall(message, call, field.value) }, texts.tools.giveResult),
    ),
  );
}
