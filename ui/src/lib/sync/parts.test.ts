import { describe, expect, it } from "vitest";
import { partName, partText } from "./parts";

describe("a record that was offered back", () => {
  it("is read in the words that are used everywhere else", () => {
    expect(partName("phone")).toBe("Phone");
    expect(partName("plan")).toBe("Plan");
    expect(partText("status", "late_cancelled")).toBe("Late cancellation");
    expect(partText("care", "active")).toBe("treating");
  });

  it("shows text as it was written, also where it looks like a code", () => {
    expect(partText("text", "scheduled")).toBe("scheduled");
    expect(partText("status", "constructor")).toBe("constructor");
  });

  it("shows what only a newer program knows by its name", () => {
    expect(partName("brand_new")).toBe("brand_new");
    expect(partText("status", "brand_new")).toBe("brand_new");
  });
});
