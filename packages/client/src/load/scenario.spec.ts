import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { parseScenario, ScenarioFault } from './scenario.ts';

const phase = { name: 'steady', seconds: 10, sessionsPerSecond: 2 };
const parse = (value: unknown) => parseScenario(JSON.stringify(value), 'peak.json');

describe('parseScenario', () => {
  it('fills in what is usual', () => {
    expect(parse({ name: 'peak', phases: [phase] })).toEqual({
      name: 'peak',
      phases: [phase],
      utterances: 1,
      thinkSeconds: 0,
    });
  });

  it('takes ramps, talkers that stay, and pauses', () => {
    const scenario = {
      name: 'ten-fold',
      phases: [{ ...phase, rampTo: 20 }],
      utterances: 'until-end',
      thinkSeconds: 1.5,
    };
    expect(parse(scenario)).toEqual(scenario);
  });

  it.each<[string, unknown, RegExp]>([
    ['no name', { phases: [phase] }, /^peak\.json is not a scenario:\n {2}name: /],
    ['a name that is no label', { name: 'Peak!', phases: [phase] }, /name: must be lower-case/],
    ['no phase', { name: 'a', phases: [] }, /phases: /],
    [
      'a phase without length',
      { name: 'a', phases: [{ ...phase, seconds: 0 }] },
      /phases\[0\]\.seconds: /,
    ],
    [
      'a negative rate',
      { name: 'a', phases: [{ ...phase, sessionsPerSecond: -1 }] },
      /phases\[0\]\.sessionsPerSecond/,
    ],
    [
      'what it does not know',
      { name: 'a', phases: [{ ...phase, users: 3 }] },
      /phases\[0\]: .*"users"/,
    ],
    [
      'two phases of one name',
      { name: 'a', phases: [phase, phase] },
      /phases: must have names of their own/,
    ],
    [
      'no load at all',
      { name: 'a', phases: [{ ...phase, sessionsPerSecond: 0 }] },
      /begin no session at all/,
    ],
    [
      'too many sessions',
      { name: 'a', phases: [{ ...phase, seconds: 3_600, sessionsPerSecond: 1_000 }] },
      /more than 1000000/,
    ],
    [
      'more than a day',
      {
        name: 'a',
        phases: [
          { ...phase, seconds: 86_400 },
          { ...phase, name: 'b' },
        ],
      },
      /86400 s in all/,
    ],
    [
      'half an utterance',
      { name: 'a', phases: [phase], utterances: 0.5 },
      /utterances: must be a whole number/,
    ],
  ])('refuses %s and says where', (_, value, message) => {
    expect(() => parse(value)).toThrow(ScenarioFault);
    expect(() => parse(value)).toThrow(message);
  });

  it('says that a file is not JSON', () => {
    expect(() => parseScenario('{', 'peak.json')).toThrow(/^peak\.json is not JSON: /);
  });

  it('throws nothing but ScenarioFault, whatever the file holds', () => {
    fc.assert(
      fc.property(fc.oneof(fc.json(), fc.string()), (text) => {
        try {
          parseScenario(text, 'f');
        } catch (error) {
          expect(error).toBeInstanceOf(ScenarioFault);
        }
      }),
    );
  });
});
