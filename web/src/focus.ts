/** Keeps keyboard focus on the page: when what has it is removed, disabled or hidden, something near takes it over. */

const FOCUSABLE = 'a[href], button, input, select, textarea, summary, [tabindex="0"]';

function canFocus(element: Element): element is HTMLElement {
  return (
    element instanceof HTMLElement &&
    element.isConnected &&
    element.tabIndex >= 0 &&
    !element.matches(':disabled') &&
    !element.closest('[inert]') &&
    element.checkVisibility({ visibilityProperty: true })
  );
}

interface Place {
  element: Element;
  /** From the element's parent outward, as they were while it had focus. */
  ancestors: Element[];
  /** What opened the part of the page that it is in: an element's data-opens. */
  openedBy: string | undefined;
}

function placeOf(element: Element): Place {
  const ancestors: Element[] = [];
  for (let parent = element.parentElement; parent; parent = parent.parentElement) ancestors.push(parent);
  return { element, ancestors, openedBy: element.closest<HTMLElement>('[data-opened-by]')?.dataset['openedBy'] };
}

function successor({ ancestors, openedBy }: Place): HTMLElement | undefined {
  const openers = openedBy === undefined ? [] : document.querySelectorAll(`[data-opens="${CSS.escape(openedBy)}"]`);
  const opener = [...openers].find(canFocus);
  if (opener) return opener;
  for (const ancestor of ancestors) {
    const near = ancestor.isConnected && [...ancestor.querySelectorAll(FOCUSABLE)].find(canFocus);
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
    if (!place || canFocus(place.element)) return;
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
