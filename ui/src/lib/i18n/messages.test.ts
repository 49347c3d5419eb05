import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { errorWords, problemWords, wordsFor } from "./errors";

const texts = (locale: string) => JSON.parse(readFileSync(`messages/${locale}.json`, "utf8")) as Record<string, unknown>;
const placeholders = (text: unknown) => [...new Set(JSON.stringify(text).match(/\{\w+\}/g) ?? [])].sort();

describe("the two languages", () => {
  const en = texts("en");
  const ko = texts("ko");

  it("have the same texts", () => expect(Object.keys(ko).sort()).toEqual(Object.keys(en).sort()));

  it("name the same values in each text", () => {
    for (const key of Object.keys(en)) expect(placeholders(ko[key]), key).toEqual(placeholders(en[key]));
  });

  it("leave no text empty", () => {
    for (const [key, text] of [...Object.entries(en), ...Object.entries(ko)]) expect(JSON.stringify(text).length, key).toBeGreaterThan(2);
  });
});

describe("errors", () => {
  const bindings = readFileSync("src/lib/backend/bindings.ts", "utf8").replace(/\/\*[^]*?\*\//g, "");
  const union = (name: string) => {
    const declared = new RegExp(`export type ${name} = ([^;]+);`).exec(bindings)?.[1] ?? "";
    return [...declared.matchAll(/"(\w+)"/g)].map((found) => found[1]).sort();
  };

  it("have words for every code that the program can answer", () => {
    expect(union("ErrorCode").length).toBeGreaterThan(40);
    expect(Object.keys(errorWords).sort()).toEqual([...union("ErrorCode"), "no_answer"].sort());
    expect(Object.keys(problemWords).sort()).toEqual(union("FieldProblem"));
  });

  it("say what happened and what to do", () => {
    for (const [code, words] of Object.entries(errorWords)) {
      expect(words.what(), code).toMatch(/\w.*[.]$/);
      expect(words.todo(), code).toMatch(/\w.*[.]$/);
    }
  });

  it("answer a code of a newer program like a fault, not with silence", () => {
    expect(wordsFor("brand_new")).toBe(errorWords.internal);
  });
});
