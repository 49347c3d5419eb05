// Saving a draft while it is written: at most `delay` after the last key, at once when asked, one save at a time, and the text
// that came in meanwhile right after it.

export interface Autosave {
  /** The text changed. */
  touch(): void;
  /** Saves what is not saved yet; settled when it is durable or was refused. */
  flush(): Promise<void>;
  /** Forgets the timer. */
  stop(): void;
}

export function autosave(save: () => Promise<void>, delay: number): Autosave {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let dirty = false;
  let running: Promise<void> | null = null;

  async function work() {
    while (dirty) {
      dirty = false;
      try {
        await save();
      } catch (error) {
        dirty = true;
        throw error;
      }
    }
  }

  function run(): Promise<void> {
    clearTimeout(timer);
    running ??= work().finally(() => (running = null));
    return running;
  }

  return {
    touch() {
      dirty = true;
      clearTimeout(timer);
      timer = setTimeout(() => run().catch(() => undefined), delay);
    },
    flush: run,
    stop: () => clearTimeout(timer),
  };
}
