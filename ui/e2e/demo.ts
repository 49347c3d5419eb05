// Before all tests: the demonstration, made once by the real program. Every test works on a copy of it.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { program } from "./programs";

export default function makeDemo(): () => void {
  const folder = mkdtempSync(join(tmpdir(), "caseload-browser-"));
  const data = join(folder, "demo");
  execFileSync(program("caseload"), ["demo", "--data", data], { stdio: ["ignore", "ignore", "inherit"] });
  process.env.CASELOAD_DEMO = data;
  return () => rmSync(folder, { recursive: true, force: true });
}
