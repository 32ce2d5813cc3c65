import { MarksChart } from './marks-chart.js';
import { caption, linkText } from './page-state.js';
import { TurnsView } from './turns-view.js';

const ACTIONS = { key: 'Change the key', retry: 'Try again', file: 'Choose a recording' };
const $ = (id) => document.getElementById(id);

/** Puts a snapshot of everything on the page. */
export class View {
  #turns = new TurnsView($('turns'));
  #chart = new MarksChart($('marks'), $('marks-rows'));
  #announced = '';

  render(page) {
    const follows = isFollowed();
    const { state, conversation, problem, signedIn } = page;
    document.body.dataset.state = state;
    document.body.dataset.phase = conversation.phase;
    // A turn in which nothing was said yet shows no empty lines behind a reply that still sounds.
    const hidden = state === 'responding' && page.waits ? 1 : 0;
    const turns = conversation.turns.slice(0, conversation.turns.length - hidden);
    const phase = hidden ? 'complete' : conversation.phase;
    this.#turns.render(turns, phase);
    $('welcome').hidden = turns.length > 0 && signedIn;
    $('key-form').hidden = signedIn;
    $('sign-out').hidden = !signedIn;
    $('welcome-text').textContent = signedIn
      ? 'Press the microphone, hold Space, or drop a recording here.'
      : 'Your words appear as you speak. Then the answer, in text and in sound.';
    this.#link(page);
    this.#problem(problem, signedIn);
    this.#dock(page);
    this.#measured(turns);
    this.#facts(page);
    this.#announce(turns.at(-1), phase);
    if (follows) $('follow').scrollIntoView({ block: 'nearest' });
  }

  #link({ link, problem, attempt }) {
    const shown = problem && !problem.calm && link === 'closed' ? 'failed' : link;
    $('link').dataset.link = shown;
    write($('link').lastElementChild, linkText(shown, { attempt }));
  }

  #problem(problem, signedIn) {
    const box = $('problem');
    box.hidden = problem === undefined;
    document.body.dataset.problem = problem?.code ?? '';
    if (problem === undefined) return;
    box.toggleAttribute('data-calm', problem.calm);
    write(box.querySelector('.problem-title'), problem.title);
    write(box.querySelector('.problem-next'), problem.next);
    const { action } = problem;
    $('problem-action').hidden = action === undefined || (action === 'key' && !signedIn);
    write($('problem-action'), ACTIONS[action] ?? '');
  }

  #dock(page) {
    const { state, signedIn, how } = page;
    const busy = state === 'thinking' || state === 'responding';
    const listening = state === 'listening';
    const talk = $('talk');
    talk.disabled = !signedIn;
    talk.setAttribute('aria-pressed', String(listening));
    talk.toggleAttribute('data-stop', listening || busy);
    write($('talk-label'), listening ? 'Stop and send' : busy ? 'Stop the reply' : 'Talk');
    $('cancel').disabled = !listening && !busy && how === undefined;
    $('file').disabled = !signedIn || listening;
    const text = caption(state, page);
    if ($('caption').dataset.text === text) return;
    $('caption').dataset.text = text;
    $('caption').replaceChildren(...text.split(/(\[\w+\])/).map(keyOrText));
  }

  #measured(turns) {
    const turn = turns.findLast(({ marks }) => marks.server || marks.page.t1);
    this.#chart.render(turn?.marks);
    write($('latency-turn'), turn ? `of turn ${turn.number}` : '');
  }

  #facts({ facts, sessionId, dropped }) {
    const { config = {}, kind } = facts;
    const rows = [
      ['Server', { fleet: 'voice pipeline', lean: 'transcript only' }[kind] ?? '–'],
      ['Session', sessionId ?? '–'],
      ...(config.vad_silence_ms ? [['Turn ends after', `${config.vad_silence_ms} ms`]] : []),
      ...(config.max_utterance_ms
        ? [['Longest turn', `${config.max_utterance_ms / 1_000} s`]]
        : []),
      ...(dropped > 0 ? [['Audio lost to a slow network', `${dropped / 10} s`]] : []),
    ];
    const text = JSON.stringify(rows);
    if ($('facts').dataset.text === text) return;
    $('facts').dataset.text = text;
    $('facts').replaceChildren(
      ...rows.flatMap(([name, value]) => [item('dt', name), item('dd', value)]),
    );
  }

  /** What is final is read out, once. */
  #announce(turn, phase) {
    if (turn === undefined) return;
    const told = [
      turn.settled && turn.you.trim() !== '' ? `You said: ${turn.you}` : '',
      phase === 'complete' && turn.reply !== '' ? `Reply: ${turn.reply}` : '',
    ].filter(Boolean);
    const text = told.at(-1) ?? '';
    if (text === '' || this.#announced === `${turn.number} ${text}`) return;
    this.#announced = `${turn.number} ${text}`;
    write($('announcer'), text);
  }
}

/** Whoever has scrolled back to read is left there. */
function isFollowed() {
  return $('follow').getBoundingClientRect().top <= innerHeight;
}

function keyOrText(part) {
  return part.startsWith('[') ? item('kbd', part.slice(1, -1)) : document.createTextNode(part);
}

function item(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  if (name === 'dd') made.title = text;
  return made;
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
