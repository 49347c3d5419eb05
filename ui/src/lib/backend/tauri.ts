// The shipped backend: commands and events of the desktop shell.
import { invoke } from "@tauri-apps/api/core";
import { listen } from "@tauri-apps/api/event";
import {
  failureOf,
  patience,
  within,
  type Answer,
  type Backend,
  type CommandName,
  type EventName,
  type Events,
  type Request,
} from "./backend";

export class TauriBackend implements Backend {
  async call<K extends CommandName>(name: K, ...[request]: Request<K>): Promise<Answer<K>> {
    try {
      return await within(patience(name), invoke<Answer<K>>(name, request === undefined ? {} : { request }));
    } catch (thrown) {
      throw failureOf(thrown);
    }
  }

  listen<E extends EventName>(event: E, handler: (payload: Events[E]) => void): () => void {
    const stopping = listen<Events[E]>(event, ({ payload }) => handler(payload));
    return () => void stopping.then((stop) => stop());
  }
}
