// One attempt of a form or a button: busy, failed with what, or done.
import type { Failure, FieldProblem } from "$lib/backend";
import { problemWords } from "$lib/i18n/errors";
import { app } from "./app.svelte";

export class Attempt {
  busy = $state(false);
  failure = $state.raw<Failure | null>(null);

  /** Runs once at a time; answers the result, or null when it failed. */
  async run<T>(work: () => Promise<T>): Promise<T | null> {
    if (this.busy) return null;
    this.busy = true;
    this.failure = null;
    try {
      return await work();
    } catch (failure) {
      this.failure = failure as Failure;
      app.notice(this.failure);
      return null;
    } finally {
      this.busy = false;
    }
  }

  /** Fails without asking, as the program would. */
  refuse(path: string, problem: FieldProblem) {
    this.failure = { code: "invalid_fields", fields: [{ path, problem }], retry: false };
  }

  /** The words for one field, or undefined. */
  problem(path: string): string | undefined {
    const found = this.failure?.fields.find((field) => field.path === path);
    return found && problemWords[found.problem]?.();
  }
}
