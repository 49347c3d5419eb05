import { expect, it } from "vitest";
import { isComposing, keyOf } from "./keys";

const press = (key: string, more: Partial<KeyboardEvent> = {}) => ({ key, isComposing: false, keyCode: 0, ...more }) as KeyboardEvent;

it("takes a letter from either layout", () => {
  expect([press("N"), press("n"), press("ㅜ")].map(keyOf)).toEqual(["n", "n", "n"]);
});

it("names other keys as they are", () => {
  expect(keyOf(press("ArrowLeft"))).toBe("ArrowLeft");
});

it("leaves every key alone that belongs to a syllable being composed", () => {
  for (const event of [press("Enter", { isComposing: true }), press("Enter", { keyCode: 229 }), press("ㅜ", { isComposing: true })]) {
    expect(isComposing(event)).toBe(true);
    expect(keyOf(event)).toBeNull();
  }
  expect(isComposing(press("Enter", { keyCode: 13 }))).toBe(false);
});
