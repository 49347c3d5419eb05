import { describe, expect, it } from "vitest";
import { addressLine, carryOver, emptyDetails, patchOf } from "./details";

describe("a patch of a client", () => {
  it("is empty when nothing was changed", () => {
    expect(patchOf(emptyDetails(), structuredClone(emptyDetails()))).toEqual({});
  });

  it("names only the unit that was changed", () => {
    const after = { ...emptyDetails(), phone: "010-1234-5678" };
    expect(patchOf(emptyDetails(), after)).toEqual({ phone: "010-1234-5678" });
  });

  it("replaces name and address whole", () => {
    const after = emptyDetails();
    after.name.preferred = "Jo";
    after.address.city = "Busan";
    expect(patchOf(emptyDetails(), after)).toEqual({ name: after.name, address: after.address });
  });

  it("clears with an empty text", () => {
    const before = { ...emptyDetails(), birthDate: "1990-01-01", email: "a@example.org" };
    expect(patchOf(before, { ...before, birthDate: null, email: "" })).toEqual({ birthDate: "", email: "" });
  });
});

it("keeps what was typed while a save was on its way", () => {
  const sent = { ...emptyDetails(), phone: "1" };
  const saved = { ...sent, email: "from another computer" };
  const typed = { ...sent, phone: "12" };
  expect(carryOver(saved, sent, typed)).toEqual({ ...saved, phone: "12" });
});

it("writes an address in the order of the language, without empty parts", () => {
  const address = { line1: "12 Hill St", line2: "", city: "Leeds", region: "", postcode: "LS1", country: "UK" };
  expect(addressLine(address, "en")).toBe("12 Hill St, Leeds, LS1, UK");
  expect(addressLine(address, "ko")).toBe("UK Leeds 12 Hill St LS1");
});
