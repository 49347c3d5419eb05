// The demonstration with a service of its own, which may have been put back from an older copy.
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { test as clinic, expect, people } from "./clinic";
import { program } from "./programs";

interface Options {
  /**
   * What the owner does after the service's data was copied and before the copy is put back, and what while no service is there; without it
   * nothing is put back.
   */
  lose: { work: (caseload: Caseload) => void; unshared?: (caseload: Caseload) => void } | null;
}

/** Runs a command of the owner on her computer. */
export type Caseload = <T>(...words: string[]) => T;

export const test = clinic.extend<Options>({
  lose: [null, { option: true }],
  profile: async ({ profile, lose }, use) => {
    const folder = dirname(profile);
    const data = join(folder, "service");
    const env: NodeJS.ProcessEnv = { ...process.env, HOME: folder, XDG_CONFIG_HOME: join(folder, "config"), CASELOAD_PASSPHRASE: people.owner.passphrase };
    delete env.CASELOAD_MONGODB_URI;
    const run = (...words: string[]) => execFileSync(program("caseload"), words, { env, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
    const caseload: Caseload = (...words) => JSON.parse(run("--json", "--profile", profile, "--user", people.owner.name, ...words));
    const port = await freePort();
    const service = new Service(["service", "--data", data, "--listen", `127.0.0.1:${port}`, "--demo"], port, env);
    await service.start();
    try {
      const code = readFileSync(join(data, "setup-code"), "utf8").trim();
      caseload("publish", "--address", service.address, "--setup-code", code);
      caseload("sync");
      if (lose) {
        const copy = join(folder, "copy");
        run("service-backup", "--data", data, "--to", copy, "--demo");
        lose.work(caseload);
        caseload("sync");
        await service.stop();
        lose.unshared?.(caseload);
        run("service-restore", "--data", data, "--from", copy, "--replace", "--demo");
        await service.start();
        caseload("sync");
      }
      await use(profile);
    } finally {
      await service.stop();
    }
  },
});

class Service {
  readonly address: string;
  private child: ChildProcess | null = null;

  constructor(
    private readonly words: string[],
    port: number,
    private readonly env: NodeJS.ProcessEnv,
  ) {
    this.address = `http://127.0.0.1:${port}`;
  }

  async start() {
    this.child = spawn(program("caseload"), this.words, { env: this.env, stdio: "ignore" });
    const child = this.child;
    const answers = () => {
      if (child.exitCode !== null) throw new Error(`the service ended with ${child.exitCode}`);
      return fetch(`${this.address}/healthz`).then((answer) => answer.ok, () => false);
    };
    await expect.poll(answers, { timeout: 60_000 }).toBe(true);
  }

  async stop() {
    const child = this.child;
    this.child = null;
    if (!child || child.exitCode !== null) return;
    const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    child.kill();
    await ended;
  }
}

/**
 * A port that nobody listens on. The service gives it back and takes it again, so it lies below those that the system gives to outgoing
 * connections, one of which could have it in between.
 */
async function freePort(): Promise<number> {
  const first = 20_000;
  const count = 12_000;
  for (let step = 0; step < count; step += 1) {
    const port = first + ((process.pid * 367 + step) % count);
    if (await isFree(port)) return port;
  }
  throw new Error(`no port from ${first} on is free`);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}
