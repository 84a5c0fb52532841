import { Chat } from "./chat/chat";
import { ServerLink } from "./chat/link";
import { Database } from "./data/db";
import { loadSettings } from "./data/settings";
import { builtInTools } from "./tools/built_in";
import { Toolbox } from "./tools/toolbox";
import { Page } from "./view/page";

async function start(): Promise<void> {
  const settings = loadSettings();
  const link = new ServerLink();
  const tools = new Toolbox(settings, builtInTools(), (name) => name !== "web_search" || link.features.webSearch);
  const chat = new Chat(await Database.open(), settings, link, tools);
  new Page(chat).start();
}

void start();
