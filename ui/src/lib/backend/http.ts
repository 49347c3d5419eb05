// The backend of development and browser tests: the same commands of the same program over a loopback bridge.
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

export class HttpBackend implements Backend {
  private readonly events: EventSource;

  constructor(private readonly bridge: string) {
    this.events = new EventSource(`${bridge}/events`);
  }

  async call<K extends CommandName>(name: K, ...[request]: Request<K>): Promise<Answer<K>> {
    try {
      return await within(patience(name), this.post<Answer<K>>(name, request));
    } catch (thrown) {
      throw failureOf(thrown);
    }
  }

  listen<E extends EventName>(event: E, handler: (payload: Events[E]) => void): () => void {
    const forward = (message: MessageEvent<string>) => handler(message.data ? JSON.parse(message.data) : null);
    this.events.addEventListener(event, forward);
    return () => this.events.removeEventListener(event, forward);
  }

  private async post<T>(name: string, request: unknown): Promise<T> {
    const reply = await fetch(`${this.bridge}/command/${name}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(request === undefined ? {} : { request }),
    });
    const body: unknown = await reply.json();
    if (!reply.ok) throw body;
    return body as T;
  }
}
