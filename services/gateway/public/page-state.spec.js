import { describe, expect, it } from '@jest/globals';
import { VoiceErrorCode } from '@voice-fleet/protocol/prompt-voice';
import { explain, noticeOf, problemOfClose } from './explain.js';
import { caption, linkText, pageState } from './page-state.js';

const CALM = { signedIn: true, link: 'open', phase: 'idle', sounding: false, waits: false };

describe('the state of the page', () => {
  it.each([
    ['signed-out', { signedIn: false, link: 'closed' }],
    ['connecting', { signedIn: true, link: 'connecting' }],
    ['connecting', { link: 'queued' }],
    ['reconnecting', { link: 'waiting', phase: 'complete' }],
    ['ready', {}],
    ['listening', { phase: 'listening' }],
    ['thinking', { phase: 'thinking' }],
    ['responding', { phase: 'responding' }],
    // The server is done, the loudspeaker is not.
    ['responding', { phase: 'complete', sounding: true }],
    ['responding', { phase: 'listening', sounding: true, waits: true }],
    ['listening', { phase: 'listening', sounding: true }],
    ['complete', { phase: 'complete' }],
    ['error', { link: 'closed', problem: explain('UNAUTHORIZED') }],
    ['complete', { phase: 'complete', problem: { ...explain('LLM_TIMEOUT'), passing: true } }],
    ['ready', { link: 'closed', problem: explain('ASLEEP') }],
  ])('is %s for %j', (state, facts) => {
    expect(pageState({ ...CALM, ...facts })).toBe(state);
  });

  it('says what to do', () => {
    const facts = { how: 'open', handsFree: false, progress: 0.5, inS: 4, link: 'open' };
    expect(caption('ready', facts)).toContain('[Space]');
    expect(caption('responding', facts)).toContain('Talk to interrupt');
    expect(caption('listening', { ...facts, how: 'held' })).toContain('Let go');
    expect(caption('listening', { ...facts, how: 'file' })).toContain('50 %');
    expect(caption('reconnecting', facts)).toContain('4 s');
    expect(linkText('waiting', { attempt: 2 })).toBe('Reconnecting, try 2 of 5');
  });
});

describe('an explanation', () => {
  it.each(VoiceErrorCode.options.filter((code) => !['CANCELLED', 'NOT_STARTED'].includes(code)))(
    'says of %s what to do next',
    (code) => {
      const { title, next } = explain(code, { message: 'from the server' });
      expect(title).not.toContain('from the server');
      expect(next.length).toBeGreaterThan(10);
    },
  );

  it('of a code that is new to the page is the words of the server', () => {
    expect(explain('SOMETHING_ELSE', { message: 'The moon is down.' })).toMatchObject({
      title: 'The moon is down.',
      action: 'retry',
    });
  });

  it.each(['MIC_REFUSED', 'MIC_ABSENT', 'MIC_BUSY', 'MIC_INSECURE', 'MIC_UNSUPPORTED'])(
    'of %s offers a recording instead',
    (code) => {
      expect(explain(code).action).toBe('file');
    },
  );
});

describe('the end of a connection', () => {
  it.each([
    [{ reason: 'left' }, undefined],
    [{ reason: 'rest', code: 1000 }, undefined],
    [{ reason: 'rest', code: 4000 }, 'ASLEEP'],
    [{ reason: 'gone', code: 1006 }, 'CONNECTION_LOST'],
    [{ reason: 'give-up', code: 1008 }, 'UNAUTHORIZED'],
    [{ reason: 'give-up', code: 1011, fatal: { code: 'MODEL_LOAD_FAIL' } }, 'MODEL_LOAD_FAIL'],
  ])('%j is told as %s', (close, code) => {
    expect(problemOfClose(close)).toBe(code);
  });
});

describe('what the server says by the way', () => {
  it('is shown in its words, where it matters to a person', () => {
    const info = { type: 'info', code: 'LIMIT_WARNING', message: '90 of 100 used.' };
    expect(noticeOf(info)).toMatchObject({ title: '90 of 100 used.', calm: true });
    expect(noticeOf({ ...info, code: 'BARGE_IN' })).toBeUndefined();
    expect(noticeOf({ type: 'info', message: 'connected' })).toBeUndefined();
  });
});
