import { expect, it } from "vitest";
import type { NoteState } from "$lib/backend";
import { nextStep } from "./step";

const rows: [string, NoteState[], string, number | null][] = [
  ["a session without a note has one started", [], "start", null],
  ["a draft is continued", ["draft"], "continue", 0],
  ["a signed note is opened, and no second one is started", ["signed"], "open", 0],
  ["a draft comes before what is signed already", ["signed", "draft"], "continue", 1],
  ["a note entered in error leaves the session without one", ["entered_in_error"], "start", null],
  ["a signed note is found behind one entered in error", ["entered_in_error", "signed"], "open", 1],
];

for (const [name, states, step, index] of rows) {
  it(name, () => {
    const notes = states.map((state) => ({ state }));
    expect(nextStep(notes)).toEqual({ step, note: index === null ? null : notes[index] });
  });
}
