import { fetchFeatures, fetchModels, isHealthy, storeKey, type Features, type Model } from "../api/server";
import type { Failure } from "../data/types";
import { Emitter } from "./emitter";

const pauseMs = 3000;

/** What is known of the server: is it there, does it want a key, which models has it. */
export class ServerLink {
  readonly changes = new Emitter<ServerLink>();
  models: Model[] = [];
  failure: Failure | null = null;
  features: Features = { webSearch: false, expertRouting: false };
  /** It was away and is back. */
  returned = false;
  private timer = 0;

  /** Asks for the models; looks for the server again and again while it is away. */
  async connect(): Promise<void> {
    window.clearTimeout(this.timer);
    const result = await fetchModels();
    const was_away = this.failure?.kind === "offline";
    if (Array.isArray(result)) {
      this.models = result;
      this.features = await fetchFeatures();
      this.failure = null;
      this.returned = was_away;
    } else {
      this.failure = result;
      if (result.kind !== "key") this.later();
    }
    this.changes.emit(this);
  }

  /** A request found nobody. */
  lost(failure: Failure): void {
    this.failure = failure;
    this.returned = false;
    this.changes.emit(this);
    if (failure.kind === "offline") this.later();
  }

  async useKey(key: string): Promise<boolean> {
    storeKey(key);
    await this.connect();
    return this.failure?.kind !== "key";
  }

  private later(): void {
    window.clearTimeout(this.timer);
    this.timer = window.setTimeout(() => {
      void isHealthy().then((healthy) => (healthy ? this.connect() : this.later()));
    }, pauseMs);
  }
}
