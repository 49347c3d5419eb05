import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { autosave } from "./autosave";

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

it("saves once, a moment after the last key", async () => {
  const save = vi.fn(async () => undefined);
  const saving = autosave(save, 400);
  saving.touch();
  await vi.advanceTimersByTimeAsync(300);
  saving.touch();
  await vi.advanceTimersByTimeAsync(399);
  expect(save).not.toHaveBeenCalled();
  await vi.advanceTimersByTimeAsync(1);
  expect(save).toHaveBeenCalledTimes(1);
});

it("saves at once when asked, and nothing when nothing is new", async () => {
  const save = vi.fn(async () => undefined);
  const saving = autosave(save, 400);
  await saving.flush();
  saving.touch();
  await saving.flush();
  await saving.flush();
  await vi.advanceTimersByTimeAsync(1000);
  expect(save).toHaveBeenCalledTimes(1);
});

it("saves again what was written while a save was under way, and never two at a time", async () => {
  const waiting: (() => void)[] = [];
  const save = vi.fn(() => new Promise<void>((resolve) => waiting.push(resolve)));
  const saving = autosave(save, 400);
  saving.touch();
  const first = saving.flush();
  saving.touch();
  const second = saving.flush();
  expect(save).toHaveBeenCalledTimes(1);
  waiting.shift()?.();
  await vi.advanceTimersByTimeAsync(0);
  expect(save).toHaveBeenCalledTimes(2);
  waiting.shift()?.();
  await Promise.all([first, second]);
});

it("keeps a refused text to be saved again", async () => {
  const save = vi.fn().mockRejectedValueOnce(new Error("disk")).mockResolvedValue(undefined);
  const saving = autosave(save, 400);
  saving.touch();
  await expect(saving.flush()).rejects.toThrow("disk");
  await saving.flush();
  expect(save).toHaveBeenCalledTimes(2);
});
