import assert from "node:assert/strict";
import { test } from "node:test";
import { exportJson, exportMarkdown, fileName, importArchives } from "../../../web/src/data/export";
import { groupByDay } from "../../../web/src/data/groups";
import { findMatches, fold } from "../../../web/src/data/search";
import { defaults, readSettings } from "../../../web/src/data/settings";
import { choose, MessageTree, titleFrom } from "../../../web/src/data/tree";
import { firstThatFits } from "../../../web/src/data/trim";
import type { Conversation, Message } from "../../../web/src/data/types";

function conversation(id: string, title = id): Conversation {
  return { id, title, named: false, created: 1, updated: 1, chosen: {} };
}

let clock = 0;
function message(id: string, parent: string | null, text = id, role: Message["role"] = "user"): Message {
  clock += 1;
  return { id, conversation: "c", parent, role, created: clock, text, attachments: [] };
}

test("the last branch is shown until another is chosen", () => {
  const tree = new MessageTree([message("a", null), message("b1", "a"), message("b2", "a"), message("c", "b1")]);
  const shown = conversation("c");
  const path = () => tree.path(shown).map(({ id }) => id);
  assert.deepEqual(path(), ["a", "b2"]);
  choose(shown, tree, "c");
  assert.deepEqual(path(), ["a", "b1", "c"]);
  assert.deepEqual(tree.siblings(message("x", "a")).map(({ id }) => id), ["b1", "b2"]);
  assert.deepEqual(tree.pathTo("b2").map(({ id }) => id), ["a", "b2"]);
});

test("titles are short and without marks", () => {
  assert.equal(titleFrom("## **Hello** world\nmore"), "Hello world");
  assert.equal(titleFrom("```js\nx\n```\nWhat is this?"), "What is this?");
  assert.ok(titleFrom("word ".repeat(50)).length <= 61);
  assert.equal(titleFrom(""), "");
});

test("an export is read back with other names and the same shape", () => {
  const from = conversation("c", "A title");
  const messages = [message("a", null), message("b1", "a", "one", "assistant"), message("b2", "a", "two", "assistant")];
  choose(from, new MessageTree(messages), "b1");
  let next = 0;
  const [archive] = importArchives(exportJson([{ conversation: from, messages, documents: [] }]), () => `n${(next += 1)}`);
  assert.ok(archive);
  const path = new MessageTree(archive.messages).path(archive.conversation);
  assert.deepEqual(path.map(({ text }) => text), ["a", "one"]);
  assert.ok(archive.messages.every(({ id, conversation: owner }) => id.startsWith("n") && owner === archive.conversation.id));
});

test("files that are no exports are refused with words", () => {
  const refused = (text: string) => {
    try {
      importArchives(text, () => "x");
    } catch (error) {
      return (error as Error).message;
    }
    return "taken";
  };
  assert.equal(refused("{"), "the file is not JSON");
  assert.match(refused("null"), /no conversations/);
  assert.match(refused('{"format":"corral-conversations","version":9,"conversations":[]}'), /version 9/);
  const damaged = { conversation: conversation("c"), messages: [{ id: 1 }], documents: [] };
  assert.match(refused(JSON.stringify({ format: "corral-conversations", version: 1, conversations: [damaged] })), /damaged/);
  const remote = { ...message("a", null), attachments: [{ kind: "image", name: "p", url: "https://a.example/p.png" }] };
  const archive = { conversation: conversation("c"), messages: [remote], documents: [] };
  assert.match(refused(JSON.stringify({ format: "corral-conversations", version: 1, conversations: [archive] })), /damaged/);
});

test("Markdown has the chosen branch", () => {
  const messages = [message("a", null, "Question"), message("b", "a", "Answer", "assistant")];
  const text = exportMarkdown({ conversation: conversation("c", "Title"), messages, documents: [] }, "You", "Model");
  assert.equal(text, "# Title\n\n## You\n\nQuestion\n\n## Model\n\nAnswer\n");
  assert.equal(fileName("What? A/B: c", "md"), "What-AB-c.md");
  assert.equal(fileName("???", "md"), "conversation.md");
});

test("search finds words without accents, in titles and in messages", () => {
  const found = findMatches(
    [conversation("c", "About nothing"), conversation("d", "Café")],
    [message("a", null, "We met at the Café, on a rainy day.")],
    "cafe",
  );
  assert.deepEqual(found.map(({ conversation: { id } }) => id), ["c", "d"]);
  assert.equal(found[0]?.excerpt?.match, "Café");
  assert.equal(fold("ÄÖ ﬁ ẞ").length, "ÄÖ ﬁ ẞ".length);
  assert.deepEqual(findMatches([conversation("c")], [], "  "), []);
});

test("days have names", () => {
  const now = new Date(2026, 5, 15, 12).getTime();
  const at = (days: number) => ({ ...conversation(`d${days}`), updated: now - days * 86_400_000 });
  const groups = groupByDay([at(0), at(1), at(3), at(40)], now, { today: "T", yesterday: "Y", week: "W" });
  assert.deepEqual(groups.slice(0, 3).map(({ title }) => title), ["T", "Y", "W"]);
  assert.equal(groups.length, 4);
});

test("settings survive damage", () => {
  assert.deepEqual(readSettings(null), defaults);
  assert.deepEqual(readSettings("{"), defaults);
  assert.deepEqual(readSettings('{"sampling": {"temperature": "hot", "seed": "x"}, "enterSends": 3, "tools": 5}'), defaults);
  const read = readSettings('{"sampling": {"temperature": 0.1, "seed": 7}, "tools": ["a", 1], "unknown": 1}');
  assert.equal(read.sampling.temperature, 0.1);
  assert.equal(read.sampling.seed, 7);
  assert.deepEqual(read.tools, ["a"]);
});

test("what no longer fits begins with a later question", () => {
  const path = ["q1", "a1", "q2", "a2", "q3"].map((id, i) => message(id, null, "x".repeat(1000), i % 2 === 0 ? "user" : "assistant"));
  const failure = { kind: "too_long" as const, message: "", promptTokens: 1000, contextTokens: 900 };
  assert.equal(firstThatFits(path, undefined, failure)?.id, "q2");
  assert.equal(firstThatFits(path, "q2", failure)?.id, "q3");
  assert.equal(firstThatFits(path, undefined, { ...failure, contextTokens: 10 })?.id, "q3");
});
