/** Keeps keyboard focus on the page: when what has it is removed, disabled or hidden, something near takes it over. */

const FOCUSABLE = 'a[href], button, input, select, textarea, summary, [tabindex="0"]';

/** Whether an element that has focus can keep it. */
function holdsFocus(element: Element): element is HTMLElement {
  return (
    element instanceof HTMLElement &&
    element.isConnected &&
    !element.matches(':disabled') &&
    !element.closest('[inert]') &&
    element.checkVisibility({ visibilityProperty: true })
  );
}

function canFocus(element: Element): element is HTMLElement {
  return holdsFocus(element) && element.tabIndex >= 0;
}

/** An ancestor, and what stood in it before the element that has focus, the nearest first. */
interface Surroundings {
  ancestor: Element;
  before: Element[];
}

interface Place {
  element: Element;
  /** From the element's parent outward, as they were while it had focus. */
  surroundings: Surroundings[];
  /** What opened the part of the page that it is in: an element's data-opens. */
  openedBy: string | undefined;
}

function placeOf(element: Element): Place {
  const surroundings: Surroundings[] = [];
  for (let child = element; child.parentElement; child = child.parentElement) {
    const before: Element[] = [];
    for (let other = child.previousElementSibling; other; other = other.previousElementSibling) before.push(other);
    surroundings.push({ ancestor: child.parentElement, before });
  }
  return { element, surroundings, openedBy: element.closest<HTMLElement>('[data-opened-by]')?.dataset['openedBy'] };
}

/** What follows the place where the lost element was, else what is last before it; in a form, its first field. */
function nearIn({ ancestor, before }: Surroundings): HTMLElement | undefined {
  if (!ancestor.isConnected) return undefined;
  const candidates = [...ancestor.querySelectorAll(FOCUSABLE)].filter(canFocus);
  if (ancestor instanceof HTMLFormElement) return candidates[0];
  const last = before.find((element) => element.parentElement === ancestor);
  const follows = (element: Element) => !last || (!last.contains(element) && isBefore(last, element));
  return candidates.find(follows) ?? candidates.at(-1);
}

function isBefore(first: Element, second: Element): boolean {
  return (first.compareDocumentPosition(second) & Node.DOCUMENT_POSITION_FOLLOWING) !== 0;
}

function successor({ surroundings, openedBy }: Place): HTMLElement | undefined {
  const openers = openedBy === undefined ? [] : document.querySelectorAll(`[data-opens="${CSS.escape(openedBy)}"]`);
  const opener = [...openers].find(canFocus);
  if (opener) return opener;
  for (const around of surroundings) {
    const near = nearIn(around);
    if (near) return near;
  }
  return undefined;
}

/** Watches over focus within `root`. */
export function keepFocus(root: HTMLElement): void {
  let place: Place | undefined;
  root.addEventListener('focusin', (event) => (place = placeOf(event.target as Element)));
  // Who clicks beside everything means to leave.
  document.addEventListener('pointerdown', (event) => {
    if (!(event.target as Element).closest(FOCUSABLE)) place = undefined;
  });
  const check = () => {
    if (!place || holdsFocus(place.element)) return;
    if (document.activeElement !== document.body && document.activeElement !== place.element) return;
    successor(place)?.focus({ preventScroll: true });
  };
  // What replaces the lost element may come in the next drawing.
  new MutationObserver(() => requestAnimationFrame(check)).observe(root, {
    childList: true,
    subtree: true,
    attributes: true,
    attributeFilter: ['disabled', 'class', 'inert'],
  });
}
