import type { Backend } from "./backend";
import { HttpBackend } from "./http";
import { TauriBackend } from "./tauri";

function bridgeAddress(): string {
  return new URLSearchParams(window.location.search).get("bridge") ?? "http://127.0.0.1:4517";
}

/** The program behind this window. Which one is fixed when the window is built. */
export const backend: Backend = __BRIDGE__ ? new HttpBackend(bridgeAddress()) : new TauriBackend();

export type { Answer, Backend, CommandName, Events, Failure, FailureCode, Request } from "./backend";
export type * from "./types";
