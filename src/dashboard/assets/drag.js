// Moving the items of a list by pointer: mouse, pen and finger alike. The items only look moved
// until they are let go, so that nothing loses its pointer on the way; then `moved(from, to)` is
// told once.

/// Begins at `event`, a pointerdown on the handle of `item`.
export function drag(event, item, moved) {
  if (event.button) return;
  event.preventDefault();
  const handle = event.currentTarget;
  handle.focus({ preventScroll: true });
  const items = [...item.parentNode.children];
  const from = items.indexOf(item);
  const boxes = items.map((one) => {
    const box = one.getBoundingClientRect();
    return { top: box.top + scrollY, height: box.height };
  });
  const gap = items.length > 1 ? Math.max(0, boxes[1].top - boxes[0].top - boxes[0].height) : 0;
  const start = event.pageY;
  let pointer = event.clientY;
  let to = from;
  let frame = 0;

  const place = () => {
    const by = pointer + scrollY - start;
    const middle = boxes[from].top + boxes[from].height / 2 + by;
    to = from;
    while (to > 0 && middle < boxes[to - 1].top + boxes[to - 1].height / 2) to -= 1;
    while (to < items.length - 1 && middle > boxes[to + 1].top + boxes[to + 1].height / 2) to += 1;
    item.style.transform = `translateY(${by}px)`;
    items.forEach((one, i) => {
      if (i === from) return;
      const shift = i > from && i <= to ? -1 : i < from && i >= to ? 1 : 0;
      one.style.transform = shift ? `translateY(${shift * (boxes[from].height + gap)}px)` : '';
    });
  };
  // Near an edge the page goes along.
  const scroll = () => {
    const edge = pointer < 80 ? -8 : pointer > innerHeight - 80 ? 8 : 0;
    if (edge) {
      scrollBy(0, edge);
      place();
    }
    frame = requestAnimationFrame(scroll);
  };
  const move = (next) => {
    if (next.pointerId === event.pointerId) {
      pointer = next.clientY;
      place();
    }
  };
  const end = (done) => {
    cancelAnimationFrame(frame);
    for (const [kind, fn] of Object.entries(heard)) removeEventListener(kind, fn, true);
    item.classList.remove('dragged');
    item.parentNode.classList.remove('dragging');
    items.forEach((one) => {
      one.style.transform = '';
    });
    if (done && to !== from) moved(from, to);
  };
  const heard = {
    pointermove: move,
    pointerup: (next) => next.pointerId === event.pointerId && end(true),
    pointercancel: (next) => next.pointerId === event.pointerId && end(false),
    keydown: (next) => {
      if (next.key === 'Escape') {
        next.preventDefault();
        next.stopPropagation();
        end(false);
      }
    },
  };
  for (const [kind, fn] of Object.entries(heard)) addEventListener(kind, fn, true);
  item.classList.add('dragged');
  item.parentNode.classList.add('dragging');
  frame = requestAnimationFrame(scroll);
}
