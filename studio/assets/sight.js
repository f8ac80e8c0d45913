// Work for elements that are in sight: one after another, and none for those that have left the window.

/** @type {WeakMap<Element, () => Promise<void>>} */
const works = new WeakMap();
/** @type {Set<Element>} Those in sight whose work is not begun. */
const inSight = new Set();
let isBusy = false;

const observer = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (isIntersecting) inSight.add(target);
    else inSight.delete(target);
  }
  void goOn();
});

async function goOn() {
  if (isBusy) return;
  isBusy = true;
  for (const element of inSight) {
    inSight.delete(element);
    observer.unobserve(element);
    await works.get(element)?.();
  }
  isBusy = false;
}

/**
 * Does the work once, when the element is in sight.
 * @param {Element} element
 * @param {() => Promise<void>} work It handles its own errors.
 */
export function whenInSight(element, work) {
  works.set(element, work);
  observer.observe(element);
}
