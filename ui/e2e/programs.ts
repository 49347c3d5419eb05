import { existsSync } from "node:fs";
import { resolve } from "node:path";

/** A program of the build: in `CASELOAD_PROGRAMS`, else in the target folder. */
export function program(name: string): string {
  const folder = process.env.CASELOAD_PROGRAMS ?? resolve(process.env.CARGO_TARGET_DIR ?? "../target", "debug");
  const path = resolve(folder, name);
  if (!existsSync(path)) throw new Error(`${path} is missing: \`cargo build --workspace --bins\` builds it`);
  return path;
}
