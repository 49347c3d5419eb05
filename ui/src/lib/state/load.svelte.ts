// Reading for a screen: keeps what is shown while it asks again, and says "slow" only after 300 ms.
import { backend, type EntityType, type Failure } from "$lib/backend";
import { app } from "./app.svelte";

const slowAfterMillis = 300;

export class Loaded<T> {
  data = $state.raw<T | null>(null);
  failure = $state.raw<Failure | null>(null);
  /** Nothing is there to show and the answer takes noticeably long. */
  slow = $state(false);
  private version = $state(0);
  private asked = 0;
  /** How many answers are on their way. */
  private reading = 0;

  constructor(
    private readonly read: () => Promise<T> | null,
    types: readonly EntityType[],
  ) {
    $effect(() => {
      void this.version;
      const answer = this.read();
      if (answer) void this.take(answer);
    });
    $effect(() =>
      backend.listen("changed", (changed) => {
        if (changed.types.some((type) => types.includes(type))) this.reload();
      }),
    );
  }

  reload() {
    this.version += 1;
  }

  /** Takes over what a command answered. An answer that was on its way may be newer or older: then it is asked for once more. */
  set(data: T) {
    this.asked += 1;
    this.show(data);
    if (this.reading > 0) this.reload();
  }

  private show(data: T) {
    this.data = data;
    this.failure = null;
  }

  private async take(answer: Promise<T>) {
    const mine = ++this.asked;
    this.reading += 1;
    const timer = setTimeout(() => (this.slow = mine === this.asked), slowAfterMillis);
    try {
      const data = await answer;
      if (mine === this.asked) this.show(data);
    } catch (failure) {
      if (mine === this.asked) this.failure = failure as Failure;
      app.notice(failure as Failure);
    } finally {
      this.reading -= 1;
      clearTimeout(timer);
      this.slow = false;
    }
  }
}

/** Reads now, again when what `read` looked at changes, and again when records of these kinds change. */
export function load<T>(read: () => Promise<T> | null, types: readonly EntityType[]): Loaded<T> {
  return new Loaded(read, types);
}
