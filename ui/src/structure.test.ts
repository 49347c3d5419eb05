import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

function filesIn(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    if (statSync(path).isDirectory()) return name === "paraglide" ? [] : filesIn(path);
    return /\.(ts|svelte)$/.test(name) && !name.endsWith(".test.ts") ? [path] : [];
  });
}

const sources = filesIn("src").map((path) => ({ path, text: readFileSync(path, "utf8") }));
const breaking = (folder: RegExp, forbidden: RegExp) =>
  sources.filter(({ path, text }) => folder.test(path) && forbidden.test(text)).map(({ path }) => path);

describe("imports point down", () => {
  it("only the backend knows the shell", () => {
    expect(breaking(/^src\/(?!lib\/backend\/)/, /@tauri-apps|lib\/backend\/(tauri|http|bindings)/)).toEqual([]);
  });

  it("general controls know no part of the practice, and no part knows a screen", () => {
    expect(breaking(/^src\/lib\/ui\//, /\$lib\/(clients|calendar|notes|prescriptions|sync)\//)).toEqual([]);
    expect(breaking(/^src\/lib\//, /from "[^"]*views\//)).toEqual([]);
  });
});

describe("the content security policy is kept", () => {
  it("no markup is made from text and no style is written into markup", () => {
    expect(breaking(/\.svelte$/, /\{@html|\sstyle=|\binnerHTML\b/)).toEqual([]);
    expect(readFileSync("index.html", "utf8")).not.toMatch(/<style|style=|<script>/);
  });

  it("nothing is evaluated or stored in the web view but the cursor's place", () => {
    expect(breaking(/./, /\beval\(|new Function|localStorage|indexedDB|document\.cookie/)).toEqual([]);
    expect(breaking(/^(?!src\/lib\/notes\/cursor\.ts)/, /sessionStorage/)).toEqual([]);
  });
});
