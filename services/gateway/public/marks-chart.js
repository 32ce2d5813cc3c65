import { axisOf, duration, markRows } from './marks.js';

const SVG = 'http://www.w3.org/2000/svg';
const ROW = 30;
const BAR = 7;
const TOP = 4;
const NAME_WIDTH = 26;

/** Two bars for each moment after the first, the server's and the page's, and a table with the same numbers. */
export class MarksChart {
  #svg;
  #rows;
  #shown = '';

  constructor(svg, rows) {
    this.#svg = svg;
    this.#rows = rows;
  }

  render(marks = {}) {
    const rows = markRows(marks.server, marks.page);
    const text = JSON.stringify([rows, this.#svg.clientWidth]);
    if (text === this.#shown) return;
    this.#shown = text;
    this.#draw(rows);
    this.#rows.replaceChildren(...rows.map(tableRow));
    this.#svg.setAttribute('aria-label', summary(rows));
  }

  #draw(rows) {
    const { end, ticks } = axisOf(rows);
    const bars = rows.slice(1);
    const width = Math.max(120, this.#svg.clientWidth) - NAME_WIDTH;
    const x = (ms) => NAME_WIDTH + (ms / end) * width;
    const bottom = TOP + bars.length * ROW;
    const nodes = ticks.map((tick) =>
      element('line', { class: 'axis', x1: x(tick), x2: x(tick), y1: 0, y2: bottom }),
    );
    for (const [index, tick] of ticks.entries()) {
      const anchor = index === 0 ? 'start' : index === ticks.length - 1 ? 'end' : 'middle';
      const label = index === 0 ? '0' : `${Number((tick / 1_000).toFixed(3))} s`;
      nodes.push(element('text', { x: x(tick), y: bottom + 16, 'text-anchor': anchor }, label));
    }
    for (const [index, { name, server, page }] of bars.entries()) {
      const y = TOP + index * ROW;
      nodes.push(element('text', { x: 0, y: y + BAR + 6 }, name));
      for (const [kind, ms, offset] of [
        ['server', server, 2],
        ['page', page, 2 + BAR + 2],
      ]) {
        const wide = ms === undefined ? 0 : Math.max(2, x(ms) - NAME_WIDTH);
        const box = { x: NAME_WIDTH, y: y + offset, height: BAR, rx: 2 };
        nodes.push(element('rect', { ...box, class: 'track', width }));
        if (wide > 0) nodes.push(element('rect', { ...box, class: kind, width: wide }));
      }
    }
    this.#svg.replaceChildren(...nodes);
  }
}

function element(name, attributes, text) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

function tableRow({ name, label, server, page }) {
  const row = document.createElement('tr');
  row.dataset.mark = name;
  const head = document.createElement('th');
  head.scope = 'row';
  head.textContent = name;
  const cells = [label, duration(server), duration(page)].map((text) => {
    const cell = document.createElement('td');
    cell.textContent = text;
    return cell;
  });
  row.append(head, ...cells);
  return row;
}

function summary(rows) {
  const seen = rows.filter(({ server, page }) => server !== undefined || page !== undefined);
  if (seen.length === 0) return 'No turn was measured yet.';
  const parts = seen.map(
    ({ label, server, page }) =>
      `${label}: ${duration(server)} on the server, ${duration(page)} on this page`,
  );
  return `Since the first audio. ${parts.join('. ')}.`;
}
