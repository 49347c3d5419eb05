// Fails the build when the compiled messages are not the ones in messages/. The compiler itself answers 0 when its plugin
// could not be loaded, and would leave a window without a word in it.
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const locales = JSON.parse(readFileSync(join(root, "project.inlang/settings.json"), "utf8")).locales;
const keysOf = (locale) =>
  Object.keys(JSON.parse(readFileSync(join(root, "messages", `${locale}.json`), "utf8"))).filter((key) => key !== "$schema");

const problems = [];
const wanted = keysOf(locales[0]);
for (const locale of locales.slice(1)) {
  const there = new Set(keysOf(locale));
  for (const key of wanted) if (!there.delete(key)) problems.push(`${locale}: "${key}" is missing`);
  for (const key of there) problems.push(`${locale}: "${key}" has no ${locales[0]} text`);
}

const compiled = join(root, "src/lib/paraglide/messages/_index.js");
let index;
try {
  index = await import(pathToFileURL(compiled));
} catch (error) {
  problems.push(`no compiled messages (${readdirSync(join(root, "src/lib")).join(", ")}): ${error.message}`);
}
for (const key of index ? wanted : []) if (typeof index[key] !== "function") problems.push(`"${key}" was not compiled`);

if (problems.length > 0) {
  console.error(`messages: ${problems.length} problems\n  ${problems.slice(0, 40).join("\n  ")}`);
  process.exit(1);
}
console.log(`messages: ${wanted.length} texts in ${locales.join(", ")}`);
