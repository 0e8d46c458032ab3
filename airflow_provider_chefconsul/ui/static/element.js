// Builds elements. Text stays text; nothing is ever parsed as HTML.

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

// Replaces the children and keeps the focus: on the child with the same data-key, else on the box if it can have it.
export function redraw(box, ...children) {
  const held = document.activeElement;
  const isHeld = held !== box && box.contains(held);
  box.replaceChildren(...children);
  if (!isHeld) return;
  const same = [...box.querySelectorAll("[data-key]")].find((each) => each.dataset.key === held.dataset.key);
  (same ?? box).focus({ preventScroll: true });
}

export function drawn(name, attributes = {}) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}
