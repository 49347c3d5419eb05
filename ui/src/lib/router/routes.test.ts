import { describe, expect, it } from "vitest";
import { href, parsePlace, routes, type Route } from "./routes";

describe("addresses", () => {
  it("go there and back for every route", () => {
    for (const route of routes as readonly Route[]) {
      const address = href(route.name as "today", (route.example ?? {}) as Record<never, string>);
      expect(parsePlace(address), address).toEqual({ name: route.name, params: route.example ?? {}, query: {} });
    }
  });

  it("keep what is asked beside the path, and odd characters in ids", () => {
    const address = href("client", { id: "a/b c?", tab: "notes" }, { date: "2026-11-21" });
    expect(parsePlace(address)).toEqual({ name: "client", params: { id: "a/b c?", tab: "notes" }, query: { date: "2026-11-21" } });
  });

  it("prefer a fixed segment to a parameter", () => {
    expect(parsePlace("#/clients/new")?.name).toBe("clientNew");
    expect(parsePlace("#/clients/1/prescriptions/new")?.name).toBe("prescriptionNew");
  });

  it.each(["", "#", "#/", "#/nowhere", "#/clients/1", "#/notes/%E0%A4%A"])("answer null for %j", (address) => {
    expect(parsePlace(address)).toBeNull();
  });

  it("are each named once and need an example for their parameters", () => {
    const list = routes as readonly Route[];
    expect(new Set(list.map((route) => route.name)).size).toBe(list.length);
    for (const route of list) {
      const names = [...route.path.matchAll(/:(\w+)/g)].map((found) => found[1]);
      expect(Object.keys(route.example ?? {}), route.path).toEqual(names);
    }
  });
});
