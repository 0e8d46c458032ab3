// The standings, in the legend's order; each has a glyph, so that none is shown by colour alone. The glyphs are of the
// WGL4 set, which the fonts of every system have; others would need a symbol font. A node that has what it was assigned
// is "in place": in a tier that is off, "converged" would sound healthy.

export const STANDINGS = new Map([
  ["converged", { glyph: "√", words: "in place" }],
  ["waiting", { glyph: "…", words: "waiting for a slot" }],
  ["running", { glyph: "►", words: "running" }],
  ["rebooting", { glyph: "↕", words: "rebooting" }],
  ["interrupted", { glyph: "║", words: "interrupted" }],
  ["failed", { glyph: "×", words: "failed" }],
  ["lost", { glyph: "†", words: "lost" }],
  ["absent", { glyph: "○", words: "absent" }],
  ["left", { glyph: "−", words: "left" }],
  ["not_reported", { glyph: "?", words: "not reported" }],
  ["old_generation", { glyph: "‹", words: "old generation" }],
  ["wrong_state", { glyph: "≠", words: "wrong state" }],
  ["malformed_report", { glyph: "!", words: "malformed report" }],
]);

const UNASSIGNED = { glyph: "·", words: "nothing assigned" };

export function standingOf(name) {
  return STANDINGS.get(name) ?? UNASSIGNED;
}
