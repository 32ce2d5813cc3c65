import { env } from 'node:process';
import { paint, say } from '../output.mjs';

/** What a person needs who has just started a fleet. */
export function printSummary(result, options) {
  const given = Boolean(env.VOXTRAL_API_KEY);
  const key = given ? 'yours, from VOXTRAL_API_KEY' : result.apiKey;
  say();
  say(paint('bold', '  voice-fleet is running'));
  row('gateway', result.url);
  row('API key', key);
  // Behind the #, so that no server and no log sees it.
  row('page', given ? `${result.url}/` : `${result.url}/#key=${result.apiKey}`);
  if (result.transcript) printDemos(result);
  if (options.once) return;
  const server = options.port === 8000 ? '' : ` --server ${new URL(result.url).host}`;
  const client = `VOXTRAL_API_KEY=${given ? '"$VOXTRAL_API_KEY"' : result.apiKey} npm run client --`;
  say();
  row('try', `${client} voice${server}`);
  row('', `${client} warmup${server}`);
  row('', `${client} bench${server}`);
  row('', `curl ${result.url}/health`);
  say();
  say('  Ctrl+C stops everything.');
  say();
}

function printDemos({ recording, reference, transcript, voice }) {
  say();
  row('recording', recording);
  row('spoken', reference);
  row('recognised', paint('green', transcript));
  say();
  row('asked', voice.question);
  row('understood', paint('green', voice.transcript));
  row('reply', paint('green', `${voice.reply.trim()} (${voice.speechS.toFixed(1)} s of speech)`));
  row('marks', marksText(voice.marks));
  say();
  say(
    '  This is the built-in demonstration engine (word error rate near 40 % on open speech), and',
  );
  say(
    '  unless OPENAI_BASE_URL or OPENAI_API_KEY is set, rules answer; production is Voxtral on vLLM.',
  );
}

const MARKS = {
  t0: 'first audio',
  t1: 'partial',
  t2: 'final',
  t3: 'first token',
  t4: 'first speech',
};

/** A mark that did not come is left out. */
function marksText(marks) {
  return Object.entries(MARKS)
    .filter(([name]) => marks[name] !== undefined)
    .map(([name, label]) => `${name} ${label} ${Math.round(marks[name])} ms`)
    .join(', ');
}

function row(label, value) {
  say(`  ${paint('dim', label.padEnd(12))}${value}`);
}
