// Every address of the window, one a line. Checks that walk all screens read this list.

/** `phase` says in which world the screen stands; `roles` who finds it in the rail; `example` fills the parameters. */
export interface Route {
  name: string;
  path: string;
  phase: "no_practice" | "recovery_pending" | "locked" | "unlocked";
  clinical?: true;
  /** Parameters for a walk; `client`, `appointment`, `note` and `prescription` stand for ids that the walker has. */
  example?: Record<string, string>;
}

export const routes = [
  { name: "welcome", path: "/welcome", phase: "no_practice" },
  { name: "create", path: "/create", phase: "no_practice" },
  { name: "join", path: "/join", phase: "no_practice" },
  { name: "recovery", path: "/recovery", phase: "recovery_pending" },
  { name: "unlock", path: "/unlock", phase: "locked" },
  { name: "recover", path: "/recover", phase: "locked" },
  { name: "today", path: "/today", phase: "unlocked" },
  { name: "calendar", path: "/calendar/:view", phase: "unlocked", example: { view: "day" } },
  { name: "clients", path: "/clients", phase: "unlocked" },
  { name: "clientNew", path: "/clients/new", phase: "unlocked" },
  { name: "client", path: "/clients/:id/:tab", phase: "unlocked", example: { id: "client", tab: "overview" } },
  { name: "notes", path: "/notes", phase: "unlocked", clinical: true },
  { name: "note", path: "/notes/:id", phase: "unlocked", clinical: true, example: { id: "note" } },
  { name: "prescriptionNew", path: "/clients/:id/prescriptions/new", phase: "unlocked", clinical: true, example: { id: "client" } },
  { name: "prescription", path: "/prescriptions/:id", phase: "unlocked", clinical: true, example: { id: "prescription" } },
  { name: "sync", path: "/sync", phase: "unlocked" },
  { name: "settings", path: "/settings/:page", phase: "unlocked", example: { page: "practice" } },
] as const satisfies readonly Route[];

export type RouteName = (typeof routes)[number]["name"];
type PathOf<N extends RouteName> = Extract<(typeof routes)[number], { name: N }>["path"];
type ParamNames<P extends string> = P extends `${string}:${infer Name}/${infer Rest}`
  ? Name | ParamNames<`/${Rest}`>
  : P extends `${string}:${infer Name}`
    ? Name
    : never;
/** The parameters that a route needs, taken from its path. */
export type ParamsOf<N extends RouteName> = { [K in ParamNames<PathOf<N>>]: string };

export interface Place {
  name: RouteName;
  params: Record<string, string>;
  query: Record<string, string>;
}

/** Values of parameters that are not ids. */
export const calendarViews = ["day", "week"] as const;
export const clientTabs = ["overview", "details", "appointments", "notes", "prescriptions", "people"] as const;
export const settingsPages = ["practice", "staff", "computers", "appearance", "security"] as const;

/** The place that an address names, or null. Fixed segments win over parameters because they come first in the list. */
export function parsePlace(hash: string): Place | null {
  const [path = "", search = ""] = hash.replace(/^#/, "").split("?", 2);
  const parts = path.split("/").filter(Boolean);
  for (const route of routes) {
    const params = matchParts(route.path.split("/").filter(Boolean), parts);
    if (params) return { name: route.name, params, query: Object.fromEntries(new URLSearchParams(search)) };
  }
  return null;
}

function matchParts(pattern: string[], parts: string[]): Record<string, string> | null {
  if (pattern.length !== parts.length) return null;
  const params: Record<string, string> = {};
  for (const [index, expected] of pattern.entries()) {
    const part = parts[index] ?? "";
    if (expected.startsWith(":")) {
      try {
        params[expected.slice(1)] = decodeURIComponent(part);
      } catch {
        return null;
      }
    } else if (expected !== part) return null;
  }
  return params;
}

/** The address of a place. */
export function href<N extends RouteName>(name: N, params: ParamsOf<N>, query: Record<string, string> = {}): string {
  const route: Route | undefined = routes.find((each) => each.name === name);
  const path = (route?.path ?? "/").replace(/:(\w+)/g, (_, key: string) =>
    encodeURIComponent((params as Record<string, string>)[key] ?? ""),
  );
  const search = new URLSearchParams(query).toString();
  return `#${path}${search ? `?${search}` : ""}`;
}
