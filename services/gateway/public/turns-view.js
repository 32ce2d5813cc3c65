import { duration, markRows } from './marks.js';

const OUTCOMES = {
  interrupted: 'interrupted',
  cancelled: 'cancelled',
  failed: 'failed',
  lost: 'the connection broke',
};

/** The list of turns. Each keeps its nodes, and only what changed is touched: screen readers and eyes stay where they are. */
export class TurnsView {
  #list;
  #nodes = new Map();

  constructor(list) {
    this.#list = list;
  }

  render(turns, phase) {
    const numbers = new Set(turns.map(({ number }) => number));
    for (const [number, { item }] of this.#nodes) {
      if (numbers.has(number)) continue;
      item.remove();
      this.#nodes.delete(number);
    }
    for (const turn of turns) {
      let nodes = this.#nodes.get(turn.number);
      if (nodes === undefined) {
        nodes = build();
        this.#nodes.set(turn.number, nodes);
        this.#list.append(nodes.item);
      }
      update(nodes, turn, turn === turns.at(-1) ? phase : 'complete');
    }
  }
}

function build() {
  const item = node('li', 'turn');
  const [you, youText] = row('you', 'You');
  const [reply, replyText] = row('reply', 'Reply');
  const meta = node('p', 'meta');
  item.append(you, reply, meta);
  return { item, youText, reply, replyText, meta };
}

function row(name, label) {
  const wrapper = node('div', name);
  const who = node('span', 'who');
  who.textContent = label;
  const text = node('p', 'text');
  wrapper.append(who, text);
  return [wrapper, text];
}

function node(name, className) {
  const made = document.createElement(name);
  made.className = className;
  return made;
}

function update({ item, youText, reply, replyText, meta }, turn, phase) {
  const live = { listening: 'you', thinking: 'thinking', responding: 'reply' }[phase] ?? '';
  const answered = turn.mode !== 'transcribe';
  if (item.dataset.live !== live) item.dataset.live = live;
  item.dataset.outcome = turn.outcome ?? '';
  write(youText, turn.you);
  youText.classList.toggle('unsettled', !turn.settled && phase !== 'complete');
  youText.classList.toggle('nothing', phase !== 'listening' || turn.settled);
  youText.dataset.nothing = turn.mode === 'chat' ? 'Audio' : 'Nothing was heard.';
  reply.hidden = !answered || (turn.reply === '' && phase !== 'thinking' && phase !== 'responding');
  write(replyText, turn.reply);
  const line = metaLine(turn);
  meta.hidden = line === '';
  write(meta, line);
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function metaLine({ marks, outcome }) {
  const [, words, final, token, sound] = markRows(marks.server, marks.page);
  const parts = [
    ['words', words],
    ['transcript', final],
    ['token', token],
    ['sound', sound],
  ].flatMap(([name, { page }]) => (page === undefined ? [] : [`${name} ${duration(page)}`]));
  const ended = OUTCOMES[outcome];
  if (outcome === undefined) return '';
  return [...parts, ...(ended ? [ended] : [])].join('  ·  ');
}
